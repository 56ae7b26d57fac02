import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, IncomingMessage, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import * as z from "zod";
import { AgentLink } from "../../container/local/sandbox/agent-link.ts";
import { FROM_AGENT, TO_AGENT } from "../../container/local/sandbox/inside/frames.mjs";
import { Sandboxes } from "../../container/local/sandbox/sandboxes.ts";
import { createDriverWithoutSnapshots } from "../support/no-snapshots.ts";
import { readLines } from "../../servers/sandbox/local-runtime.ts";
import { run, runCode, startLocalSandboxes } from "./local-sandboxes.ts";
import { mapFiles } from "./map-files.ts";

test("only who knows the secret, asks for this machine and is no web page is heard", async () => {
  await using sandboxes = await startLocalSandboxes();
  const { url } = sandboxes.runtime;
  const ask = async (headers: Record<string, string>): Promise<number | undefined> => {
    const asked = request(`${url}/health`, { headers });
    asked.end();
    const [response]: unknown[] = await once(asked, "response");
    if (!(response instanceof IncomingMessage)) throw new Error("There was no answer.");
    response.resume();
    return response.statusCode;
  };
  const authorization = `Bearer ${sandboxes.secret}`;
  expect(await ask({ authorization })).toBe(200);
  expect(await ask({})).toBe(403);
  expect(await ask({ authorization: `Bearer ${sandboxes.secret}x` })).toBe(403);
  expect(await ask({ authorization, host: "evil.example" })).toBe(403);
  expect(await ask({ authorization, host: "127.0.0.1.evil.example" })).toBe(403);
  expect(await ask({ authorization, origin: "http://localhost" })).toBe(403);
  const driver = createDriverWithoutSnapshots({ runtimeUrl: url, secret: "wrong".repeat(8) }, fetch);
  await expect(run(driver.open("x", mapFiles()), "true")).rejects.toMatchObject({ code: "unavailable" });
});

test("what is no sandbox, no route or no request is refused in words", async () => {
  await using sandboxes = await startLocalSandboxes();
  const ask = async (path: string, body: string) => {
    const response = await fetch(`${sandboxes.runtime.url}${path}`, {
      method: "POST",
      body,
      headers: { authorization: `Bearer ${sandboxes.secret}` },
    });
    return z.object({ error: z.object({ code: z.string(), message: z.string() }) }).parse(await response.json()).error;
  };
  expect((await ask("/sandboxes/../../etc/exec", "{}")).code).toBe("not_found");
  expect((await ask("/sandboxes/a%2Fb/exec", "{}")).code).toBe("not_found");
  expect((await ask("/sandboxes/a/nothing", "{}")).code).toBe("not_found");
  expect((await ask("/sandboxes/a/exec", "{ broken")).code).toBe("invalid_input");
  expect((await ask("/sandboxes/a/exec", "{}")).code).toBe("invalid_input");
});

test("a NUL in a command, folder or variable is refused, and running commands go on", async () => {
  await using sandboxes = await startLocalSandboxes();
  const sandbox = sandboxes.open();
  const running = run(sandbox, "sleep 1; echo done");
  await expect(run(sandbox, "echo a\0b")).rejects.toMatchObject({
    code: "invalid_input",
    message: expect.stringContaining("NUL"),
  });
  await expect(run(sandbox, "true", { cwd: "a\0b" })).rejects.toMatchObject({ code: "invalid_input" });
  await expect(run(sandbox, "true", { env: { A: "a\0b" } })).rejects.toMatchObject({ code: "invalid_input" });
  const variables = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`V${index}`, "x".repeat(99_000)]));
  await expect(run(sandbox, "true", { env: variables })).rejects.toMatchObject({ code: "too_large" });
  expect(await running).toMatchObject({ exitCode: 0, stdout: { text: "done\n" } });
  expect((await runCode(sandbox, "print('a\0b')")).error?.name ?? "none").toMatch(/Error|none/);
});

test("a command that goes on after its answer may say whatever it likes", async () => {
  await using sandboxes = await startLocalSandboxes();
  const sandbox = sandboxes.open();
  const heard: string[] = [];
  const command = {
    command: "echo 1; until [[ -e go ]]; do sleep 0.05; done; for i in $(seq 2 8); do echo $i; sleep 0.1; done",
    timeoutMs: 60_000,
    waitMs: 3_000,
    maxChars: 1_000,
  };
  const { processId } = await sandbox.exec(command, {
    signal: new AbortController().signal,
    onOutput: (text) => heard.push(text),
  });
  expect(heard).toEqual(["1\n"]);
  await sandbox.writeFile("go", new Uint8Array());
  const end = { after: { stdout: 0, stderr: 0 }, until: "end", waitMs: 20_000, maxChars: 100 } as const;
  await sandbox.readProcess(processId, end, { signal: new AbortController().signal });
  expect(await new Response((await sandbox.readOutput(processId, "stdout")).body).text()).toBe(
    "1\n2\n3\n4\n5\n6\n7\n8\n",
  );
});

test("a runtime that is not there, or answers nonsense, is said to be unavailable", async () => {
  const answers = ["not json\n", '{"result":{},"notes":[],"changes":{"notes":[]}}\n', '{"output":5}\n', ""];
  for (const answer of answers) {
    await using server = createServer((_, response) => response.end(answer));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = z.object({ port: z.number() }).parse(server.address());
    const driver = createDriverWithoutSnapshots(
      { runtimeUrl: `http://127.0.0.1:${port}`, secret: "s".repeat(40) },
      fetch,
    );
    await expect(run(driver.open("x", mapFiles()), "true"), answer).rejects.toMatchObject({ code: "unavailable" });
  }
  const nobody = createDriverWithoutSnapshots({ runtimeUrl: "http://127.0.0.1:1", secret: "s".repeat(40) }, fetch);
  await expect(run(nobody.open("x", mapFiles()), "true")).rejects.toMatchObject({
    code: "unavailable",
    message: "The local sandbox runtime does not answer; it is started again at once, so try again.",
  });
});

test("a line that comes in thousands of pieces is read whole", async () => {
  const pieces = 2_000;
  const piece = new TextEncoder().encode("x".repeat(16_000));
  let sent = 0;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (sent === 0) controller.enqueue(new TextEncoder().encode('{"output":"first"}\n{"output":"'));
      if ((sent += 1) <= pieces) controller.enqueue(piece);
      else {
        controller.enqueue(new TextEncoder().encode('"}\n'));
        controller.close();
      }
    },
  });
  const lines = readLines(new Response(body), new AbortController().signal);
  expect((await lines.next()).value).toEqual({ output: "first" });
  expect((await lines.next()).value).toEqual({ output: "x".repeat(pieces * piece.length) });
  await expect(lines.next()).rejects.toMatchObject({ code: "unavailable" });
});

test("who asks for a sandbox that is being ended gets a fresh one when the old one is gone", async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "pincer-sandbox-"));
  const sandboxes = await Sandboxes.open({ dataDir, idleMs: 200, log: () => undefined });
  try {
    const old = await sandboxes.get("one");
    await old.use(async () => await old.workspace.restore());
    const order: string[] = [];
    const stop = old.stop.bind(old);
    old.stop = async (reason) => {
      order.push("ending");
      await sleep(500);
      await stop(reason);
      order.push("ended");
    };
    while (!order.includes("ending")) await sleep(20);
    const fresh = await sandboxes.get("one");
    order.push("fresh");
    expect(order).toEqual(["ending", "ended", "fresh"]);
    expect(fresh).not.toBe(old);
  } finally {
    await sandboxes.close();
    await rm(dataDir, { recursive: true, force: true });
  }
});

test("a sandbox that is ended just as it is asked for is not handed out beside its successor", async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "pincer-sandbox-"));
  const sandboxes = await Sandboxes.open({ dataDir, idleMs: 200, log: () => undefined });
  try {
    const old = await sandboxes.get("one");
    const isEnded = Promise.withResolvers<undefined>();
    const stop = old.stop.bind(old);
    old.stop = async (reason) => {
      await stop(reason);
      isEnded.resolve(undefined);
    };
    old.hasLostDisk = async () => {
      await isEnded.promise;
      return false;
    };
    const asked = await sandboxes.get("one");
    expect(asked).not.toBe(old);
    expect(await sandboxes.get("one")).toBe(asked);
  } finally {
    await sandboxes.close();
    await rm(dataDir, { recursive: true, force: true });
  }
});

/** Programs that speak in the agent's place, as hostile code in a sandbox could. */
const FRAME =
  "const f=(k,c,b)=>{const h=Buffer.alloc(9);h.writeUInt32BE(b.length);h[4]=k;h.writeUInt32BE(c,5);process.stdout.write(Buffer.concat([h,Buffer.from(b)]))};";

test.each([
  {
    says: "a frame that claims gigabytes",
    script: "process.stdout.write(Buffer.alloc(9, 255)); setInterval(() => {}, 1e3)",
  },
  {
    says: "answers that are no JSON",
    script: `f(${FROM_AGENT.done},1,'{');f(${FROM_AGENT.exit},1,'[');setInterval(()=>{},1e3)`,
  },
  {
    says: "answers to calls that nobody made",
    script: `for(let i=0;i<99;i++)f(${FROM_AGENT.stdout},i,'x'.repeat(9999));process.exit(0)`,
  },
  { says: "nothing any more", script: "setTimeout(()=>process.exit(1),50)" },
])("an agent that says $says harms nobody else", async ({ script }) => {
  const link = await AgentLink.start(
    [process.execPath, "-e", `${FRAME} f(${FROM_AGENT.ready},0,'{}'); ${script}`],
    () => undefined,
  );
  const answer = await link.ask(TO_AGENT.file, { op: "scan" }, 1_000).catch((error: unknown) => error);
  expect(answer === undefined || answer instanceof Error).toBe(true);
  link.kill("over");
  await link.ended;
  expect(link.isOpen).toBe(false);
});
