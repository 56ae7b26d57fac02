import { once } from "node:events";
import { readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import path from "node:path";
import { expect, test } from "vitest";
import { type Place, freePort, newMark, place, server } from "./tiny.ts";

interface SpeakingSuite extends Disposable {
  name: string | undefined;
  /** What it waits for before it says so. */
  until: Promise<void>;
  readonly env: NodeJS.ProcessEnv;
}

/** A way out of the sandbox behind which the suite says how the sandbox is called; as long as it has a name. */
async function suiteThatSays(name?: string): Promise<SpeakingSuite> {
  const said = { name, until: Promise.resolve() };
  const suite = createServer((_, response) => {
    void said.until.then(() => response.end(JSON.stringify({ sandbox: said.name })));
  });
  suite.on("connect", (_, socket) => {
    socket.write("HTTP/1.1 200 OK\r\n\r\n");
    suite.emit("connection", socket);
  });
  const port = await freePort();
  await once(suite.listen(port, "127.0.0.1"), "listening");
  const env = { NODE_USE_ENV_PROXY: "1", HTTP_PROXY: `http://127.0.0.1:${port}`, NO_PROXY: "127.0.0.1" };
  return Object.assign(said, {
    env,
    [Symbol.dispose]: () => {
      suite.close();
      suite.closeAllConnections();
    },
  });
}

/** All ends but what lies in its HOME. */
async function fallAsleep(it: Place, mark: string): Promise<void> {
  await it.killAll(mark);
  await rm(path.join(it.home, "../tmp/presets"), { recursive: true });
}

test("what ran when the sandbox fell asleep starts again as it wakes, and what was stopped does not", async () => {
  using suite = await suiteThatSays("main");
  const [port, mark] = [await freePort(), newMark()];
  await using it = await place({ tiny: server(port, mark) }, suite.env);
  expect(await it.run("resume")).toEqual({ code: 0, stdout: "", stderr: "" });
  await it.run("start", "tiny");
  await fallAsleep(it, mark);
  expect((await it.run("status")).stdout).toContain("tiny\tinstalled, does not run\n");
  expect((await it.run("resume")).stdout).toMatch(/^Starting tiny; .*\ntiny runs\. \n$/);
  expect(await it.alive(mark)).toBe(2);
  // By one that woke it, or by both at once: once is enough.
  await it.run("resume");
  expect(await it.alive(mark)).toBe(2);
  await it.run("stop", "tiny");
  expect(await it.run("resume")).toEqual({ code: 0, stdout: "", stderr: "" });
  expect(await it.alive(mark)).toBe(0);
});

test("one that cannot start again says so in its status, holds up no other, and is tried at the next waking", async () => {
  using suite = await suiteThatSays("main");
  const [ports, marks] = [
    [await freePort(), await freePort()],
    [newMark(), newMark()],
  ] as const;
  await using it = await place(
    { tiny: server(ports[0] ?? 0, marks[0] ?? ""), other: server(ports[1] ?? 0, marks[1] ?? "") },
    suite.env,
  );
  for (const name of ["tiny", "other"]) await it.run("start", name);
  await it.killAll(marks[0] ?? "");
  await fallAsleep(it, marks[1] ?? "");
  const squatter = createServer((_, response) => response.end());
  await once(squatter.listen(ports[0], "127.0.0.1"), "listening");
  const problem = `Something else listens on port ${ports[0]}; end that, and start tiny again.`;
  try {
    expect((await it.run("resume")).stderr).toBe(`${problem}\n`);
    const { stdout } = await it.run("status");
    expect(stdout).toContain(
      `tiny\tinstalled, does not run; it did not start again when the sandbox woke: ${problem}\n`,
    );
    expect(stdout).toMatch(/^other\truns for 0 min/m);
  } finally {
    squatter.close();
  }
  await it.run("resume");
  expect((await it.run("status")).stdout).toMatch(/^tiny\truns for 0 min as process \d+$/m);
});

test("a copy of the sandbox wakes without the agents of the first, as does one whose suite is silent", async () => {
  using suite = await suiteThatSays("main");
  const [port, mark] = [await freePort(), newMark()];
  await using it = await place({ tiny: server(port, mark) }, suite.env);
  await it.run("start", "tiny");
  await fallAsleep(it, mark);
  suite.name = undefined;
  await it.run("resume");
  expect((await it.run("status")).stdout).toContain("woke: The suite does not say which sandbox this is.\n");
  suite.name = "copy";
  expect(await it.run("resume")).toEqual({ code: 0, stdout: "", stderr: "" });
  suite.name = "main";
  await it.run("resume");
  expect(await it.alive(mark)).toBe(0);
});

test("one that is stopped while it starts again does not run afterwards", async () => {
  using suite = await suiteThatSays("main");
  const [port, mark] = [await freePort(), newMark()];
  await using it = await place({ tiny: server(port, mark) }, suite.env);
  await it.run("start", "tiny");
  await fallAsleep(it, mark);
  await it.describe("tiny", { ...server(port, mark), ready: "/never" });
  const resumed = it.run("resume");
  await expect.poll(async () => await it.alive(mark)).toBe(2);
  expect((await it.run("status")).stdout).toContain("tiny\tis being started\n");
  expect((await it.run("stop", "tiny")).stdout).toBe("tiny has stopped.\n");
  await resumed;
  expect(await it.alive(mark)).toBe(0);
  expect(await it.run("resume")).toEqual({ code: 0, stdout: "", stderr: "" });
});

test("one that is stopped at the very end of its start does not start again", async () => {
  using suite = await suiteThatSays("main");
  const [port, mark] = [await freePort(), newMark()];
  const slow = `process.on("SIGTERM", () => { console.log("ending"); setTimeout(process.exit, 1_000); });`;
  await using it = await place({ tiny: server(port, mark, slow) }, suite.env);
  const named = Promise.withResolvers<void>();
  suite.until = named.promise;
  const started = it.run("start", "tiny");
  await expect.poll(async () => (await it.run("status")).stdout).toMatch(/^tiny\truns for 0 min/m);
  const stopped = it.run("stop", "tiny");
  // The stop has found it noted nowhere, and its start comes to noting it only now.
  await expect
    .poll(async () => await readFile(path.join(it.home, ".cache/presets/tiny.log"), "utf8"))
    .toContain("ending");
  named.resolve();
  expect((await stopped).stdout).toBe("tiny has stopped.\n");
  await started;
  expect(await it.run("resume")).toEqual({ code: 0, stdout: "", stderr: "" });
  expect(await it.alive(mark)).toBe(0);
});
