import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { AgentLink } from "../../container/local/sandbox/agent-link.ts";
import { frame, FROM_AGENT, TO_AGENT } from "../../container/local/sandbox/inside/frames.mjs";
import { LiveOutput } from "../../container/local/sandbox/live-output.ts";
import { commandSchema, SandboxProcess } from "../../container/local/sandbox/process.ts";
import { Processes } from "../../container/local/sandbox/processes.ts";
import { problemOfMaking } from "../../container/local/sandbox/start.ts";
import { createDriverWithoutSnapshots } from "../support/no-snapshots.ts";
import { pick, processTree } from "../support/process-tree.ts";
import { fetchNode, run, runCode, startLocalSandboxes } from "./local-sandboxes.ts";
import { mapFiles } from "./map-files.ts";
import { machineProcesses, startRuntimeChild } from "./runtime-child.ts";

/** A command's parent is the agent. */
const KILL_AGENT = "kill -9 $PPID";

test("when the agent is killed, running commands and code are told the truth, and the next call starts afresh", async () => {
  await using sandboxes = await startLocalSandboxes();
  const sandbox = sandboxes.open();
  await run(sandbox, "echo kept > kept");
  await runCode(sandbox, "x = 1");
  let said = "";
  const command = { command: "echo before; sleep 60", timeoutMs: 60_000, waitMs: 60_000, maxChars: 100 };
  const { signal } = new AbortController();
  const waiting = sandbox.exec(command, { signal, onOutput: (text) => (said += text) });
  const code = runCode(sandbox, "import time; open('begun', 'w'); time.sleep(60)", { timeoutMs: 60_000 });
  await expect.poll(() => said).toBe("before\n");
  await expect.poll(async () => await sandbox.readFile("begun", 0).catch(() => undefined)).toBeDefined();
  await run(sandbox, KILL_AGENT);
  expect(await waiting).toMatchObject({
    signal: "SIGKILL",
    exitCode: 137,
    hasTimedOut: false,
    stdout: { text: "before\n" },
    notes: ["The sandbox ended."],
  });
  expect((await code).error).toMatchObject({
    name: "ContextCrashed",
    message: expect.stringContaining("variables are lost"),
  });
  expect(await run(sandbox, "cat kept")).toMatchObject({ exitCode: 0, stdout: { text: "kept\n" } });
  expect((await runCode(sandbox, "'x' in globals()")).results).toEqual([{ text: "False" }]);
});

/** `RLIMIT_MSGQUEUE` is the mark by which a command's processes are known. */
test.each([
  { who: "a child of its command", leave: "" },
  { who: "a daemon of its own session", leave: "os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0); " },
])("$who that takes off its mark is killed at timeoutMs", async ({ leave }) => {
  await using sandboxes = await startLocalSandboxes();
  const sandbox = sandboxes.open();
  await run(sandbox, "sleep 7777 >/dev/null 2>&1 &");
  for (const limits of ["(5, resource.getrlimit(12)[1])", "(5, 5)"]) {
    const program = `import os, resource; ${leave}resource.setrlimit(12, ${limits}); os.execvp("sleep", ["sleep", "8888"])`;
    const result = await run(sandbox, `python3 -c '${program}' & sleep 8888`, { timeoutMs: 1_000 });
    expect(result).toMatchObject({ hasTimedOut: true, signal: "SIGKILL", stderr: { text: "" } });
    expect((await run(sandbox, "ps -eo args= | grep -c '[s]leep 8888'")).stdout.text, limits).toBe("0\n");
  }
  expect((await run(sandbox, "ps -eo args= | grep -c '[s]leep 7777'")).stdout.text).toBe("1\n");
});

test("what goes on from fork to fork, each in a session of its own, is killed at timeoutMs", async () => {
  await using sandboxes = await startLocalSandboxes();
  const sandbox = sandboxes.open();
  const hop = "import os\nwhile True:\n  os.fork() and os._exit(0)\n  os.setsid()\n  open('trace', 'a').write('x')";
  await sandbox.writeFile("hop.py", new TextEncoder().encode(hop));
  for (let rounds = 0; rounds < 6;) {
    const result = await run(sandbox, "python3 hop.py; sleep 8888", { timeoutMs: 500 });
    expect(result).toMatchObject({ hasTimedOut: true, signal: "SIGKILL", stderr: { text: "" } });
    // On a busy machine it may not have begun by then.
    if ((await run(sandbox, "[[ -s trace ]] && rm trace")).exitCode !== 0) continue;
    rounds += 1;
    expect((await run(sandbox, "sleep 0.1; [[ -e trace ]]")).exitCode).toBe(1);
  }
});

test("an agent that is stopped is noticed by the next call, which starts afresh", async () => {
  await using sandboxes = await startLocalSandboxes();
  const sandbox = sandboxes.open();
  await run(sandbox, "echo kept > kept");
  const stopped = await run(sandbox, "kill -STOP $PPID; sleep 60", { timeoutMs: 3_000 });
  expect(stopped).toMatchObject({
    hasTimedOut: true,
    signal: "SIGKILL",
    notes: [expect.stringContaining("did not answer")],
  });
  expect(await run(sandbox, "cat kept")).toMatchObject({ exitCode: 0, stdout: { text: "kept\n" } });
  const before = await run(sandbox, "until [[ -e go ]]; do sleep 0.05; done; kill -STOP $PPID", { waitMs: 0 });
  expect(before.isRunning).toBe(true);
  const [agent] = await pick(await processTree(process.pid), /^\/opt\/node\/bin\/node .*\/opt\/pincer\/agent\.mjs $/);
  await sandbox.writeFile("go", new Uint8Array());
  await expect.poll(async () => await readFile(`/proc/${agent}/stat`, "utf8")).toMatch(/\) T /);
  const next = await run(sandbox, "cat kept");
  expect(next).toMatchObject({ stdout: { text: "kept\n" }, notes: [expect.stringContaining("did not answer")] });
});

test("input for an agent that no longer listens waits for the sandbox's end, and is no error of the runtime's", async () => {
  const isReady = String.raw`printf '\0\0\0\2\20\0\0\0\0{}'`;
  const link = await AgentLink.start(["/bin/bash", "-c", `${isReady}; exec 0<&-; exec sleep 60`], () => undefined);
  const sent = link.send(TO_AGENT.stdin, 1, new Uint8Array(4_000_000));
  expect(await Promise.race([sent.then(() => "sent"), sleep(500, "waiting")])).toBe("waiting");
  link.kill("The test is over.");
  await sent;
});

test("a killed context leaves the others alone", async () => {
  await using sandboxes = await startLocalSandboxes();
  const sandbox = sandboxes.open();
  await runCode(sandbox, "x = 1", { context: "one" });
  await runCode(sandbox, "let y = 2", { context: "one", language: "javascript" });
  expect((await runCode(sandbox, "import os; os._exit(3)", { context: "two" })).error).toMatchObject({
    name: "ContextCrashed",
    message: expect.stringContaining("exit code 3"),
  });
  expect((await runCode(sandbox, "x", { context: "one" })).results).toEqual([{ text: "1" }]);
  expect((await runCode(sandbox, "y", { context: "one", language: "javascript" })).results).toEqual([{ text: "2" }]);
});

test("code that writes to the interpreter's own channel loses its context, and nothing else happens", async () => {
  await using sandboxes = await startLocalSandboxes();
  const sandbox = sandboxes.open();
  const junk = "import os\nfor fd in range(3, 30):\n  try: os.write(fd, b'junk\\n' * 10)\n  except OSError: pass\n";
  expect((await runCode(sandbox, junk)).error?.name).toBe("ContextCrashed");
  const flood =
    "import os\nfor fd in range(3, 30):\n  try:\n    while True: os.write(fd, b'x' * 65536)\n  except OSError: pass\n";
  expect((await runCode(sandbox, flood, { timeoutMs: 5_000 })).error?.name).toMatch(/ContextCrashed|Interrupted/);
  expect((await runCode(sandbox, "1 + 1")).results).toEqual([{ text: "2" }]);
  expect(sandboxes.runtime.url).toMatch(/^http/);
});

test("code that closes or redirects its outputs harms its own run only", async () => {
  await using sandboxes = await startLocalSandboxes();
  const sandbox = sandboxes.open();
  await runCode(sandbox, "import os, sys; os.close(1); os.close(2); sys.stdout = None");
  await runCode(sandbox, "sys.stderr.close()");
  expect(await runCode(sandbox, "print('back'); print('too', file=sys.stderr)")).toMatchObject({
    stdout: { text: "back\n" },
    stderr: { text: "too\n" },
  });
});

test("code that cannot be interrupted is ended, which is said, and the next run works", async () => {
  await using sandboxes = await startLocalSandboxes();
  const sandbox = sandboxes.open();
  const stubborn = "import time\nwhile True:\n  try: time.sleep(1)\n  except BaseException: pass";
  const python = await runCode(sandbox, stubborn, { timeoutMs: 500 });
  expect(python.error).toMatchObject({ name: "Interrupted", message: expect.stringContaining("variables are lost") });
  const blocked = "require('child_process').execSync('sleep 30')";
  const javascript = await runCode(sandbox, blocked, { timeoutMs: 500, language: "javascript" });
  expect(javascript.error).toMatchObject({
    name: "Interrupted",
    message: expect.stringContaining("variables are lost"),
  });
  expect((await runCode(sandbox, "1 + 1")).results).toEqual([{ text: "2" }]);
  expect((await runCode(sandbox, "1 + 1", { language: "javascript" })).results).toEqual([{ text: "2" }]);
  expect((await run(sandbox, "ps -eo args= | grep -c '[s]leep 30'")).stdout.text).toBe("0\n");
});

test("javascript that loops or waits for ever is stopped and keeps its variables", async () => {
  await using sandboxes = await startLocalSandboxes();
  const sandbox = sandboxes.open();
  const javascript = async (code: string, timeoutMs = 10_000) =>
    await runCode(sandbox, code, { language: "javascript", timeoutMs });
  await javascript("const kept = 5");
  for (const endless of [
    "for (;;) {}",
    "await 0; for (;;) {}",
    "await new Promise(() => {})",
    "setTimeout(() => { for (;;) {} }); await new Promise(() => {})",
  ]) {
    expect((await javascript(endless, 400)).error, endless).toMatchObject({
      name: "Interrupted",
      message: expect.stringContaining("are kept"),
    });
    expect((await javascript("kept")).results, endless).toEqual([{ text: "5" }]);
  }
});

test("a sandbox that nobody uses is ended, and its files wait for the next call", async () => {
  await using sandboxes = await startLocalSandboxes({ idleMs: 400 });
  const sandbox = sandboxes.open();
  await run(sandbox, "echo kept > kept; echo gone > /tmp/gone; (setsid sleep 97 &)");
  await expect.poll(() => sandboxes.logged.join()).toContain("nothing was asked of it");
  expect((await run(sandbox, "cat kept; ls /tmp; ps -eo args= | grep -c '[s]leep 97'")).stdout.text).toBe("kept\n0\n");
});

test.each(["SIGKILL", "end of its input"] as const)(
  "the runtime's end by %s ends everything that it started",
  async (how) => {
    const dataDir = await mkdtemp(join(tmpdir(), "pincer-sandbox-"));
    const secret = "s".repeat(40);
    const { child, url } = await startRuntimeChild({ dataDir, secret });
    const nap = `9${String(child.pid).slice(-5)}.5`;
    try {
      const sandbox = createDriverWithoutSnapshots({ runtimeUrl: url, secret }, fetch).open("x", mapFiles());
      await run(sandbox, `setsid sleep ${nap} & sleep ${nap}`, { waitMs: 0 });
      await expect.poll(async () => await machineProcesses(`sleep\0${nap}`)).toHaveLength(2);
      if (how === "SIGKILL") child.kill("SIGKILL");
      else child.stdin?.end();
      await once(child, "exit");
      await expect.poll(async () => await machineProcesses(`sleep\0${nap}`)).toEqual([]);
    } finally {
      child.kill("SIGKILL");
      await rm(dataDir, { recursive: true, force: true });
    }
  },
);

test("a file that came in with a command under which the runtime was killed does not come back once it is removed", async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "pincer-sandbox-"));
  const secret = "s".repeat(40);
  const files = mapFiles();
  const start = async () => {
    const { child, url } = await startRuntimeChild({ dataDir, secret });
    return { child, sandbox: createDriverWithoutSnapshots({ runtimeUrl: url, secret }, fetchNode).open("x", files) };
  };
  let { child, sandbox } = await start();
  try {
    await files.write("moved.txt", "one\n");
    const running = run(sandbox, "cat files/moved.txt > begun; sleep 30").catch(() => undefined);
    const begun = async () => new TextDecoder().decode(await sandbox.readFile("begun", 10).catch(() => undefined));
    await expect.poll(begun, { timeout: 10_000 }).toBe("one\n");
    child.kill("SIGKILL");
    await Promise.all([running, once(child, "exit")]);
    await files.remove("moved.txt");
    ({ child, sandbox } = await start());
    expect((await run(sandbox, "cat begun; ls files")).stdout.text).toBe("one\n");
    expect(files.paths()).toEqual([]);
  } finally {
    child.kill("SIGKILL");
    await rm(dataDir, { recursive: true, force: true });
  }
});

test("without bubblewrap the simulated shell stands in, and says why", async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "pincer-sandbox-"));
  const secret = "s".repeat(40);
  const tools = join(dataDir, "bin");
  await mkdir(tools);
  for (const name of ["mount", "mkdir"]) await symlink(`/usr/bin/${name}`, join(tools, name));
  const { child, url } = await startRuntimeChild({ dataDir, secret }, { PATH: tools });
  try {
    const reason = expect.stringMatching(/^bubblewrap is missing: install it/);
    const health = await fetch(`${url}/health`, { headers: { authorization: `Bearer ${secret}` } });
    expect(await health.json()).toEqual({ status: "ok", driver: "simulated", reason });
    const sandbox = createDriverWithoutSnapshots({ runtimeUrl: url, secret }, fetch).open("x", mapFiles());
    expect(await run(sandbox, "echo simulated; git status")).toMatchObject({
      exitCode: 127,
      stdout: { text: "simulated\n" },
    });
    expect(await sandbox.status()).toMatchObject({
      driver: "simulated",
      notes: [expect.anything(), expect.anything(), reason],
    });
  } finally {
    child.kill("SIGKILL");
    await rm(dataDir, { recursive: true, force: true });
  }
});

test("a process that is dropped before its agent has said anything of it is over", async () => {
  const ready = frame(FROM_AGENT.ready, 0, "{}").join(",");
  const program = `process.stdout.write(new Uint8Array([${ready}])); process.stdin.resume()`;
  const link = await AgentLink.start([process.execPath, "-e", program], () => undefined);
  const folder = await mkdtemp(join(tmpdir(), "pincer-spool-"));
  try {
    const processes = new Processes(folder, { spoolBytes: 1_000, totalSpoolBytes: 10_000 });
    const request = commandSchema.parse({ command: "true", timeoutMs: 60_000, waitMs: 0, maxChars: 100 });
    const live = new LiveOutput(() => undefined);
    const options = { live, outOfMemoryKills: () => 0 };
    const { ended, record } = await processes.add(
      request,
      (made) => new SandboxProcess(link, request, { ...options, record: made }),
    );
    await processes.drop(record.id);
    expect(await Promise.race([ended.then(() => "over"), sleep(10_000, "held")])).toBe("over");
  } finally {
    link.kill("The test is over.");
    await link.ended;
    await rm(folder, { recursive: true });
  }
});

test("a sandbox whose folders could not be made says what to do, and is made once they can be", async () => {
  await using sandboxes = await startLocalSandboxes();
  const sandbox = sandboxes.open({ id: "blocked" });
  const folder = join(sandboxes.dataDir, "sandboxes/blocked");
  await mkdir(dirname(folder), { recursive: true });
  await writeFile(folder, "no folder");
  const refusal = { code: "unavailable", message: expect.stringContaining("did not start") };
  await expect(run(sandbox, "true")).rejects.toMatchObject(refusal);
  await rm(folder);
  await mkdir(folder);
  await writeFile(join(folder, "spool"), "no folder");
  await expect(run(sandbox, "true")).rejects.toMatchObject(refusal);
  await rm(join(folder, "spool"));
  expect((await run(sandbox, "echo made")).stdout.text).toBe("made\n");
});

test("a sandbox that died, or did not start, is asleep until the next call", async () => {
  await using sandboxes = await startLocalSandboxes();
  const sandbox = sandboxes.open({ id: "fragile" });
  await run(sandbox, `(sleep 0.5; ${KILL_AGENT}) &`);
  await expect.poll(async () => (await sandbox.status()).state).toBe("asleep");
  expect((await run(sandbox, "echo next")).stdout.text).toBe("next\n");
  expect((await sandbox.status()).state).toBe("running");
  const blocked = sandboxes.open({ id: "blocked" });
  await writeFile(join(sandboxes.dataDir, "sandboxes/blocked"), "no folder");
  await expect(blocked.readFile("x", 1)).rejects.toMatchObject({ code: "unavailable" });
  expect((await blocked.status()).state).toBe("asleep");
});

test("a machine whose disk is full is told apart from a sandbox that does not start", () => {
  const full = new Error("Command failed: mkfs.ext4 -q disk.img\nmkfs.ext4: No space left on device while writing out");
  expect(problemOfMaking(full)).toMatchObject({ code: "limit_reached", message: expect.stringContaining("make room") });
  expect(problemOfMaking(new Error("spawn ENOENT"))).toMatchObject({ code: "unavailable" });
});
