import { execFile } from "node:child_process";
import { lstat, mkdir, open, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import path from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { freePort, newMark, place, server } from "./tiny.ts";

test("a preset is started, found running, not started twice, and stopped with all that it started", async () => {
  const [port, mark] = [await freePort(), newMark()];
  await using it = await place({ tiny: { ...server(port, mark), hint: "Talk to it." } });
  expect((await it.run("status")).stdout).toContain("tiny\tinstalled, does not run\n");
  const started = await it.run("start", "tiny");
  const log = path.join(it.home, ".cache/presets/tiny.log");
  expect(started).toEqual({
    code: 0,
    stdout: `Starting tiny; its log is ${log}.\ntiny runs. Talk to it.\n`,
    stderr: "",
  });
  expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe("here");
  expect(await readFile(log, "utf8")).toBe("up\n");
  expect((await it.run("status")).stdout).toMatch(/^tiny\truns for 0 min as process \d+$/m);
  expect(await it.run("start", "tiny")).toEqual({ code: 0, stdout: "tiny runs already.\n", stderr: "" });
  expect(await it.alive(mark)).toBe(2);
  expect(await it.run("stop", "tiny")).toEqual({ code: 0, stdout: "tiny has stopped.\n", stderr: "" });
  expect(await it.alive(mark)).toBe(0);
  expect(await it.run("stop", "tiny")).toEqual({ code: 0, stdout: "tiny does not run.\n", stderr: "" });
  expect((await it.run("start", "tiny")).code).toBe(0);
});

test("of two that start the same one, the second waits for the first", async () => {
  const [port, mark] = [await freePort(), newMark()];
  await using it = await place({ tiny: { ...server(port, mark), ready: "/go" } });
  const first = it.run("start", "tiny");
  await expect.poll(async () => await it.alive(mark)).toBe(2);
  const go = (): void => void writeFile(path.join(it.home, "go"), "");
  const second = await it.follow(["start", "tiny"], /waiting for that/, go);
  const waited = "tiny is being started already; waiting for that.\ntiny runs already.\n";
  expect(second).toEqual({ code: 0, stdout: waited, stderr: "" });
  expect((await first).code).toBe(0);
  expect(await it.alive(mark)).toBe(2);
});

test("one that begins to run while its status is looked at is not said to be off", async () => {
  const [port, mark] = [await freePort(), newMark()];
  await using it = await place({ tiny: server(port, mark) });
  await it.run("start", "tiny");
  const [running, starting] = ["json", "starting"].map((ending) => path.join(it.home, `../tmp/presets/tiny.${ending}`));
  const note = await readFile(running ?? "", "utf8");
  await rm(running ?? "");
  // Whoever reads who is starting it waits there.
  await promisify(execFile)("mkfifo", [starting ?? ""]);
  const status = it.run("status");
  await using nobody = await open(starting ?? "", "w");
  await writeFile(running ?? "", note);
  await nobody.close();
  const { stdout } = await status;
  await rm(starting ?? "");
  expect(stdout).toMatch(/^tiny\truns for 0 min/m);
});

test("what ends at once says so with the end of its log, and leaves nothing running", async () => {
  const [port, mark] = [await freePort(), newMark()];
  const code = `
    const { spawn } = require("node:child_process");
    for (const detached of [true, false]) spawn("sleep", ["${mark}"], { detached, stdio: "ignore" });
    for (let line = 1; line <= 50; line++) console.error("line " + line);
    setTimeout(() => process.exit(3), 0);`;
  await using it = await place({ tiny: { start: ["node", "-e", code], port } });
  const { code: exit, stderr } = await it.run("start", "tiny");
  expect(exit).toBe(1);
  expect(stderr).toMatch(/^tiny has ended\. The end of .*tiny\.log:\nline 31\n(?:line \d+\n){18}line 50\n$/);
  expect(await it.alive(mark)).toBe(0);
  expect((await it.run("status")).stdout).toContain("tiny\tinstalled, does not run\n");
});

test("a start that is broken off leaves nothing running", async () => {
  const [port, mark] = [await freePort(), newMark()];
  await using it = await place({ tiny: { ...server(port, mark), ready: "/never" } });
  const { code } = await it.follow(["start", "tiny"], /Starting tiny/, (child) => child.kill("SIGTERM"));
  expect([code, await it.alive(mark)]).toEqual([130, 0]);
  expect((await it.run("start", "tiny", "now")).code).toBe(2);
});

test("where something else has its port, a preset is not started, nor taken for running", async () => {
  const [port, mark] = [await freePort(), newMark()];
  await using it = await place({ tiny: server(port, mark) });
  const other = createServer((_, response) => response.end());
  await new Promise<void>((resolve) => other.listen(port, "127.0.0.1", resolve));
  try {
    expect(await it.run("start", "tiny")).toEqual({
      code: 1,
      stdout: "",
      stderr: `Something else listens on port ${port}; end that, and start tiny again.\n`,
    });
    expect(await it.alive(mark)).toBe(0);
    expect((await it.run("status")).stdout).toContain("tiny\tinstalled, does not run\n");
  } finally {
    other.close();
  }
});

test("packages are installed once, below .cache, and their programs linked for whoever types them", async () => {
  await using it = await place({});
  const source = path.join(it.home, "source");
  await mkdir(source);
  await writeFile(path.join(source, "package.json"), JSON.stringify({ name: "greeter", version: "1.0.0" }));
  await writeFile(path.join(source, "greet.mjs"), "#!/usr/bin/env node\nconsole.log('hello');\n", { mode: 0o755 });
  const preset = { install: { greeter: `file:${source}` }, programs: { greet: "greeter/greet.mjs" }, hint: "Greet." };
  await using its = await place({ greeter: preset });
  const first = await its.run("start", "greeter");
  expect([first.code, first.stderr]).toEqual([0, ""]);
  expect(first.stdout).toMatch(/^Installing greeter@file:.*\nInstalled in \d+ s\.\ngreeter is installed\. Greet\.\n$/s);
  const target = path.join(its.home, ".cache/presets/greeter/node_modules/greeter/greet.mjs");
  const linked = path.join(its.home, ".local/bin/greet");
  expect(await readlink(linked)).toBe(target);
  expect((await its.run("start", "greeter")).stdout).toBe("greeter is installed. Greet.\n");
  expect((await its.run("status")).stdout).toContain("greeter\tinstalled\n");
});

test("a program of the person's own is not replaced", async () => {
  await using it = await place({ tiny: { programs: { greet: "../package.json" } } });
  const own = path.join(it.home, ".local/bin/greet");
  await mkdir(path.dirname(own), { recursive: true });
  await writeFile(own, "mine");
  expect((await it.run("start", "tiny")).stdout).toMatch(/^\S+\/greet is not the preset's and stays;/);
  expect([(await lstat(own)).isFile(), await readFile(own, "utf8")]).toEqual([true, "mine"]);
});

test("without a way to npm's registry it says which host to open, and how", async () => {
  const preset = { install: { "pincer-nothing": "1.0.0" }, programs: { nothing: "pincer-nothing/x" } };
  const host = `127.0.0.1:${await freePort()}`;
  await using it = await place({ tiny: preset }, { npm_config_registry: `http://${host}/` });
  const { code, stderr } = await it.run("start", "tiny");
  expect(code).toBe(1);
  expect(stderr).toMatch(/^npm could not install pincer-nothing@1\.0\.0:\nnpm error .*ECONNREFUSED\n/s);
  expect(stderr).toContain(
    `The npm registry ${host} cannot be reached from this sandbox (connect ECONNREFUSED ${host}). Whoever runs Pincer opens the way: locally npm start -- --allow-host ${host}, deployed ALLOWED_HOSTS with ${host}.`,
  );
  expect((await it.run("status")).stdout).toContain("tiny\tnot installed\n");
});

test("a Node that is too old is named before anything is installed", async () => {
  await using it = await place({ tiny: { node: "99.1.0", install: { "pincer-nothing": "1.0.0" } } });
  expect(await it.run("start", "tiny")).toEqual({
    code: 1,
    stdout: "",
    stderr: `tiny needs Node 99.1.0 or later; this sandbox has ${process.versions.node}.\n`,
  });
});

test("what it cannot do is answered with what it can", async () => {
  await using it = await place({});
  expect((await it.run("list")).stdout.split("\n").map((line) => line.split("\t")[0])).toEqual([
    "claude-code",
    "openclaw",
    "opencode",
    "",
  ]);
  for (const args of [[], ["start"], ["list", "all"], ["dance"], ["constructor"]]) {
    const { code, stderr } = await it.run(...args);
    expect([args, code]).toEqual([args, 2]);
    expect(stderr).toMatch(/^preset list /);
  }
  expect(await it.run("start", "../tiny")).toMatchObject({
    code: 1,
    stderr: 'There is no preset "../tiny". There is: claude-code, openclaw, opencode.\n',
  });
});
