import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { createDriverWithoutSnapshots } from "../support/no-snapshots.ts";
import type { Sandbox } from "../../servers/sandbox/driver.ts";
import type { ProcessOutput, ProcessRead } from "../../servers/sandbox/process.ts";
import { run, runCode, startLocalSandboxes } from "./local-sandboxes.ts";
import { mapFiles } from "./map-files.ts";
import { machineProcesses, startRuntimeChild } from "./runtime-child.ts";

const MIB = 1024 * 1024;
/** A command's parent is the agent. */
const KILL_AGENT = "kill -9 $PPID";

async function read(sandbox: Sandbox, processId: string, rest: Partial<ProcessRead> = {}): Promise<ProcessOutput> {
  return await sandbox.readProcess(
    processId,
    { after: { stdout: 0, stderr: 0 }, waitMs: 0, maxChars: 10_000, ...rest },
    { signal: new AbortController().signal },
  );
}

/** How many processes have that in their command line; the one that looks does not. */
async function countInside(sandbox: Sandbox, name: string): Promise<number> {
  const { stdout } = await run(sandbox, "ps -eo args=");
  return stdout.text.split("\n").filter((line) => line.includes(name)).length;
}

test("how a process ended is remembered when its sandbox has slept, and asking does not wake it", async () => {
  await using sandboxes = await startLocalSandboxes({ idleMs: 400 });
  const sandbox = sandboxes.open();
  const { processId } = await run(sandbox, "echo said; echo wrong >&2; exit 5");
  await expect.poll(async () => (await sandbox.status()).state).toBe("asleep");
  await sleep(300);
  const [remembered, ...others] = await sandbox.listProcesses();
  expect(others).toEqual([]);
  expect(remembered).toMatchObject({
    processId,
    isRunning: false,
    exitCode: 5,
    command: expect.stringMatching(/^echo/),
  });
  expect(await sandbox.listContexts()).toEqual([]);
  expect((await sandbox.status()).state).toBe("asleep");
  expect(await read(sandbox, processId)).toMatchObject({ stdout: { text: "said\n" }, stderr: { text: "wrong\n" } });
  expect(await new Response((await sandbox.readOutput(processId, "stdout")).body).text()).toBe("said\n");
});

test("a runtime killed in the middle of a command and of a read tells the next one how it ended", async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "pincer-sandbox-"));
  const secret = "s".repeat(40);
  const children: { kill(signal: "SIGKILL"): boolean }[] = [];
  const start = async (): Promise<{ sandbox: Sandbox; kill: () => Promise<void> }> => {
    const { child, url } = await startRuntimeChild({ dataDir, secret });
    children.push(child);
    return {
      sandbox: createDriverWithoutSnapshots({ runtimeUrl: url, secret }, fetch).open("x", mapFiles()),
      kill: async () => {
        child.kill("SIGKILL");
        await once(child, "exit");
      },
    };
  };
  try {
    const first = await start();
    const nap = `7${Date.now() % 100_000}.5`;
    const ended = await run(first.sandbox, "seq 1 50000; exit 3");
    const { processId } = await run(first.sandbox, `echo before; sleep ${nap}`, { waitMs: 0 });
    await read(first.sandbox, processId, { until: { pattern: "before\n" }, waitMs: 20_000 });
    const reading = read(first.sandbox, processId, { until: "end", waitMs: 30_000 });
    const running = run(first.sandbox, `sleep ${nap}`);
    const failures = Promise.allSettled([reading, running]);
    const runningCount = async () => (await first.sandbox.listProcesses()).filter(({ isRunning }) => isRunning).length;
    await expect.poll(runningCount).toBe(2);
    // Until its beginning is on the disk, and the read has come.
    await sleep(300);
    await first.kill();
    for (const failure of await failures)
      expect(failure).toMatchObject({ status: "rejected", reason: { code: "unavailable" } });
    const second = await start();
    const list = await second.sandbox.listProcesses();
    expect(list.map(({ isRunning, exitCode, signal }) => [isRunning, exitCode, signal])).toEqual([
      [false, 137, "SIGKILL"],
      [false, 137, "SIGKILL"],
      [false, 3, undefined],
    ]);
    expect(await read(second.sandbox, processId, { until: "end", waitMs: 5_000 })).toMatchObject({
      isReached: true,
      stdout: { text: "before\n" },
      notes: ["It was running when Pincer was ended, and was ended with it."],
    });
    const cut = await read(second.sandbox, ended.processId, { maxChars: 200 });
    expect(cut.stdout).toMatchObject({ totalBytes: 288_894, isCut: true });
    expect(cut.stdout.text).toMatch(/^1\n2\n[^]*left out[^]*\n50000\n$/);
    await expect(second.sandbox.writeInput(processId, { text: "x", isEnd: false })).rejects.toMatchObject({
      code: "conflict",
    });
    await expect.poll(async () => await machineProcesses(`sleep\0${nap}`)).toEqual([]);
    expect((await run(second.sandbox, "echo next")).stdout.text).toBe("next\n");
  } finally {
    for (const child of children) child.kill("SIGKILL");
    await rm(dataDir, { recursive: true, force: true });
  }
});

test("who reads a process while its sandbox dies hears how it ended, and why", async () => {
  await using sandboxes = await startLocalSandboxes();
  const sandbox = sandboxes.open();
  const { processId } = await run(sandbox, "echo said; sleep 60", { waitMs: 0 });
  await read(sandbox, processId, { until: { pattern: "said\n" }, waitMs: 20_000 });
  const reads = [
    read(sandbox, processId, { until: "end", waitMs: 30_000 }),
    read(sandbox, processId, { until: { pattern: "never" }, waitMs: 30_000 }),
    read(sandbox, processId, { until: { port: 9 }, waitMs: 30_000 }),
    read(sandbox, processId, { after: { stdout: 5, stderr: 0 }, waitMs: 30_000 }),
  ];
  await sleep(300);
  await run(sandbox, KILL_AGENT);
  const results = await Promise.all(reads);
  expect(results.map(({ isReached }) => isReached)).toEqual([true, false, false, false]);
  for (const result of results)
    expect(result).toMatchObject({ isRunning: false, signal: "SIGKILL", exitCode: 137, notes: ["The sandbox ended."] });
  expect((await run(sandbox, "echo next")).stdout.text).toBe("next\n");
});

test("who waits while the sandbox is reset hears that it was, and who comes then finds it empty", async () => {
  await using sandboxes = await startLocalSandboxes();
  const files = mapFiles();
  const sandbox = sandboxes.open({ files });
  await run(
    sandbox,
    "mkdir -p shut/in 'od d'; touch -- -f shut/in/x $'caf\\xe9' files/kept; ln -s / all; chmod 0 shut",
  );
  await runCode(sandbox, "1");
  const running = run(sandbox, "sleep 60");
  const code = runCode(sandbox, "import time; time.sleep(60)");
  const { processId } = await run(sandbox, "sleep 60", { waitMs: 300 });
  const reading = read(sandbox, processId, { until: "end", waitMs: 30_000 });
  const busy = async () => [
    (await sandbox.listProcesses()).filter(({ isRunning }) => isRunning).length,
    (await sandbox.listContexts()).map(({ isBusy }) => isBusy),
  ];
  await expect.poll(busy).toEqual([2, [true]]);
  await sleep(300);
  const reset = sandbox.reset();
  // Its processes have ended, its disk is yet to be emptied.
  await reading;
  const next = Array.from({ length: 4 }, async () => await run(sandbox, "ls -A; ls files"));
  await reset;
  const why = "The sandbox was reset, which ended everything in it.";
  expect(await running).toMatchObject({ signal: "SIGKILL", notes: [why] });
  expect(await reading).toMatchObject({ isReached: true, signal: "SIGKILL", notes: [why] });
  expect((await code).error).toMatchObject({ name: "ContextCrashed", message: expect.stringContaining(why) });
  for (const { stdout } of await Promise.all(next)) expect(stdout.text).toBe("files\nkept\n");
  expect(files.paths()).toEqual(["kept"]);
});

test("at timeoutMs everything that was started in a terminal is killed, and nothing of the terminal is left", async () => {
  await using sandboxes = await startLocalSandboxes();
  const sandbox = sandboxes.open();
  const command = "trap '' HUP TERM INT; (setsid sleep 8123 &); nohup sleep 8123 & sleep 8123";
  const result = await run(sandbox, command, { input: "terminal", timeoutMs: 1_000 });
  expect(result).toMatchObject({ hasTimedOut: true, signal: "SIGKILL", exitCode: 137 });
  expect(await countInside(sandbox, "sleep 8123")).toBe(0);
  expect(await countInside(sandbox, "terminal.sh")).toBe(0);
});

test("a command in a terminal ends as it says, and megabytes through it arrive", async () => {
  await using sandboxes = await startLocalSandboxes();
  const sandbox = sandboxes.open();
  const said = await run(sandbox, 'read -r line; echo "got $line"; echo wrong >&2; exit 6', {
    input: "terminal",
    stdin: "typed\n",
  });
  expect(said).toMatchObject({ exitCode: 6, stderr: { text: "" } });
  expect(said.stdout.text).toMatch(/got typed\r\nwrong\r\n$/);
  const long = await run(sandbox, "seq 1 300000", { input: "terminal", maxChars: 1_000 });
  expect(long).toMatchObject({ exitCode: 0, stdout: { totalBytes: 1_988_895 + 300_000 } });
  expect(long.stdout.text).toMatch(/\r\n300000\r\n$/);
  const long2 = await run(sandbox, `printf '%s' '${"x".repeat(300_000)}' | wc -c`, { input: "terminal" });
  expect(long2.stdout.text).toBe("300000\r\n");
});

test("a signal reaches what runs in a terminal, which may answer it", async () => {
  await using sandboxes = await startLocalSandboxes();
  const sandbox = sandboxes.open();
  const script = "trap 'echo heard; exit 9' USR1; echo ready; while :; do sleep 0.1; done";
  const { processId } = await run(sandbox, script, { input: "terminal", waitMs: 0 });
  await read(sandbox, processId, { until: { pattern: "ready" }, waitMs: 10_000 });
  await sandbox.signalProcess(processId, "SIGUSR1");
  expect(await read(sandbox, processId, { until: "end", waitMs: 10_000 })).toMatchObject({
    exitCode: 9,
    stdout: { text: expect.stringContaining("heard") },
  });
});

test("a signal for a command that answers it does not take its input away", async () => {
  await using sandboxes = await startLocalSandboxes();
  const sandbox = sandboxes.open();
  const script = "trap 'echo heard' INT; echo ready; while ! read -r line; do :; done; echo got $line";
  const { processId } = await run(sandbox, script, { input: "open", waitMs: 0 });
  await read(sandbox, processId, { until: { pattern: "ready" }, waitMs: 10_000 });
  await sandbox.signalProcess(processId, "SIGINT");
  await read(sandbox, processId, { until: { pattern: "heard" }, waitMs: 10_000 });
  await sandbox.writeInput(processId, { text: "more\n", isEnd: true });
  expect((await read(sandbox, processId, { until: "end", waitMs: 10_000 })).stdout.text).toBe(
    "ready\nheard\ngot more\n",
  );
});

test("input that nobody reads is refused before it fills the sandbox, and the process goes on", async () => {
  await using sandboxes = await startLocalSandboxes();
  const sandbox = sandboxes.open();
  const { processId } = await run(sandbox, "sleep 60", { input: "open", waitMs: 200 });
  const text = "ü".repeat(500_000);
  const writes = await Promise.allSettled(
    Array.from({ length: 12 }, async () => await sandbox.writeInput(processId, { text, isEnd: false })),
  );
  const refused = writes.filter(({ status }) => status === "rejected");
  expect(refused.length).toBeGreaterThan(0);
  for (const refusal of refused) expect(refusal).toMatchObject({ reason: { code: "limit_reached" } });
  expect((await read(sandbox, processId)).isRunning).toBe(true);
});

test("an end of input that is refused because much is unread can be sent again", async () => {
  await using sandboxes = await startLocalSandboxes();
  const sandbox = sandboxes.open();
  const { processId } = await run(sandbox, "until [[ -e go ]]; do sleep 0.05; done; wc -c", {
    input: "open",
    waitMs: 100,
  });
  const text = "x".repeat(500_000);
  let written = 0;
  const write = async (isEnd: boolean) => {
    await sandbox.writeInput(processId, { text, isEnd });
    written += text.length;
  };
  for (let isFull = false; !isFull;)
    isFull = await write(false)
      .then(() => false)
      .catch(() => true);
  await expect(write(true)).rejects.toMatchObject({ code: "limit_reached" });
  await sandbox.writeFile("go", new Uint8Array());
  await expect.poll(async () => await write(true).then(() => "sent")).toBe("sent");
  const ended = await read(sandbox, processId, { until: "end", waitMs: 10_000 });
  expect(ended).toMatchObject({ exitCode: 0, stdout: { text: `${written}\n` } });
});

test("of more than 64 MB the beginning and the end can be read, and what lies between is told as left out", async () => {
  await using sandboxes = await startLocalSandboxes({ limits: { spoolBytes: 1 * MIB } });
  const sandbox = sandboxes.open();
  const { processId, stdout } = await run(sandbox, "seq 1 1000000", { maxChars: 500 });
  const total = stdout.totalBytes;
  const fromMiddle = await read(sandbox, processId, { after: { stdout: 3 * MIB, stderr: 0 }, maxChars: 1_000 });
  expect(fromMiddle.stdout).toMatchObject({ totalBytes: total, isCut: true });
  expect(fromMiddle.stdout.text).toMatch(/^\n… \d+ bytes left out …\n[\d\n]*\n1000000\n$/);
  const fromStart = await read(sandbox, processId, { after: { stdout: 2, stderr: 0 }, maxChars: 1_000 });
  expect(fromStart.stdout.text).toMatch(/^2\n3\n[^]*left out[^]*\n1000000\n$/);
  const end = await read(sandbox, processId, { after: { stdout: total - 8, stderr: 0 } });
  expect(end.stdout).toEqual({ text: "1000000\n", totalBytes: total, isCut: false });
});

test("a pattern is found in a flood of output, and across the pieces of one", async () => {
  await using sandboxes = await startLocalSandboxes();
  const sandbox = sandboxes.open();
  const { processId } = await run(sandbox, "seq 1 5000000; echo; echo -n never; sleep 0.5; echo more; sleep 60", {
    waitMs: 0,
  });
  const found = await read(sandbox, processId, { until: { pattern: "^nevermore$" }, waitMs: 20_000, maxChars: 100 });
  expect(found).toMatchObject({ isReached: true, isRunning: true });
  expect((await read(sandbox, processId, { until: { pattern: "^4321\\n4322$" }, waitMs: 5_000 })).isReached).toBe(true);
});

test("code that uses up the memory says so and is fresh, and the other contexts keep theirs", async ({ skip }) => {
  if (process.getuid?.() !== 0) skip("only root limits memory by the kernel");
  await using sandboxes = await startLocalSandboxes({ limits: { memoryBytes: 512 * MIB } });
  const sandbox = sandboxes.open();
  await runCode(sandbox, "kept = 1", { context: "other" });
  await runCode(sandbox, "let kept = 2", { context: "other", language: "javascript" });
  const { processId } = await run(sandbox, "sleep 600", { waitMs: 0, timeoutMs: 600_000 });
  // Shared memory, which no process is charged for alone.
  const hog = await runCode(sandbox, "import mmap\nmine = mmap.mmap(-1, 700 << 20)\nmine.write(b'x' * (700 << 20))");
  expect(hog.error).toMatchObject({ name: "ContextCrashed", message: expect.stringContaining("memory was used up") });
  expect((await runCode(sandbox, "'mine' in globals()")).results).toEqual([{ text: "False" }]);
  expect((await runCode(sandbox, "kept", { context: "other" })).results).toEqual([{ text: "1" }]);
  expect((await runCode(sandbox, "kept", { context: "other", language: "javascript" })).results).toEqual([
    { text: "2" },
  ]);
  expect((await read(sandbox, processId)).isRunning).toBe(true);
});

test.each([
  ["VTALRM", 154],
  ["PROF", 155],
  ["IO", 157],
  ["STKFLT", 144],
])("a command that SIG%s ends has bash's exit code %i", async (signal, exitCode) => {
  await using sandboxes = await startLocalSandboxes();
  const result = await run(sandboxes.open(), `kill -${signal} $$`);
  expect(result).toMatchObject({ exitCode, signal: `SIG${signal}` });
});
