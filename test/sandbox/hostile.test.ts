import { expect, test } from "vitest";
import { run, runCode, startLocalSandboxes } from "./local-sandboxes.ts";

/* What a command can do to the sandbox around it; the next call has to work. */

test("a zombie maker is ended with its command, and the next command has room", async () => {
  await using sandboxes = await startLocalSandboxes({ limits: { maxProcesses: 200 } });
  const sandbox = sandboxes.open();
  const maker = `
import os, time
for _ in range(100):
    if os.fork() == 0: os._exit(0)
print("made", flush=True)
time.sleep(60)`;
  const result = await run(sandbox, `python3 - <<'END'${maker}\nEND`, { timeoutMs: 2_000 });
  expect(result).toMatchObject({ hasTimedOut: true, signal: "SIGKILL", stdout: { text: "made\n" } });
  // Orphans' ends are seen to by the sandbox's first process.
  await run(sandbox, "for i in $(seq 100); do (sleep 0 &) ; done; sleep 0.5");
  expect((await run(sandbox, "ps -eo stat= | grep -c '^Z'")).stdout.text).toBe("0\n");
});

test("a process that ignores every signal it can is killed at timeoutMs", async () => {
  await using sandboxes = await startLocalSandboxes();
  const sandbox = sandboxes.open();
  const stubborn = `
import os, signal, time
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
os.setsid() if os.fork() == 0 else None
time.sleep(9191)`;
  const result = await run(sandbox, `exec python3 -c '${stubborn}'`, { timeoutMs: 1_000 });
  expect(result).toMatchObject({ hasTimedOut: true, signal: "SIGKILL", exitCode: 137 });
  expect((await run(sandbox, "ps -eo args= | grep -c '[9]191'")).stdout.text).toBe("0\n");
  const { processId } = await run(sandbox, "trap '' TERM; while :; do sleep 0.05; done", { waitMs: 300 });
  await sandbox.signalProcess(processId, "SIGTERM");
  await run(sandbox, "sleep 0.3");
  expect((await sandbox.listProcesses()).find((process) => process.processId === processId)?.isRunning).toBe(true);
  await sandbox.signalProcess(processId, "SIGKILL");
  expect((await sandbox.listProcesses()).find((process) => process.processId === processId)).toMatchObject({
    isRunning: false,
    signal: "SIGKILL",
  });
});

test("no trick with /proc reaches out of the sandbox or takes the agent's rights", async () => {
  await using sandboxes = await startLocalSandboxes();
  const sandbox = sandboxes.open();
  const attempts = [
    "cat /proc/1/root/etc/shadow",
    "ls /proc/1/cwd/../../root",
    "cat /proc/self/root/root/.bashrc",
    "cat /proc/1/environ | grep -a SECRET",
    "cat /proc/1/mem",
    "head -c1 /proc/kmem",
    "ls /proc/sys/fs/binfmt_misc/register && echo x > /proc/sys/fs/binfmt_misc/register",
    "echo '|/workspace/x' > /proc/sys/kernel/core_pattern",
    "echo -1000 > /proc/self/oom_score_adj",
    "echo 1 > /proc/1/attr/current",
    "cat /proc/1/stack",
    "echo c > /proc/sysrq-trigger",
    "ln -s /proc/1/root /workspace/out && ls /workspace/out/root",
  ];
  for (const attempt of attempts) expect((await run(sandbox, attempt)).exitCode, attempt).not.toBe(0);
  for (const path of ["/proc/1/root/etc/shadow", "/proc/self/environ-not", "out/etc/shadow", "/proc/1/mem"]) {
    await expect(sandbox.readFile(path, 100), path).rejects.toMatchObject({
      code: expect.stringMatching(/^(not_found|forbidden|invalid_input|unavailable)$/),
    });
  }
  expect((await run(sandbox, "echo next")).stdout.text).toBe("next\n");
});

test("files that replace each other fast are never half of one, and never one outside", async () => {
  await using sandboxes = await startLocalSandboxes();
  const sandbox = sandboxes.open();
  await run(
    sandbox,
    "printf secret > /tmp/outside; nohup bash -c 'while :; do ln -sfn /tmp turn; ln -sfn /workspace/in turn; done' >/dev/null 2>&1 & mkdir -p in",
  );
  for (let round = 0; round < 20; round++) {
    await sandbox.writeFile("turn/file", new TextEncoder().encode("x".repeat(10_000))).catch(() => undefined);
    const bytes = await sandbox.readFile("turn/file", 20_000).catch(() => undefined);
    expect([undefined, 10_000]).toContain(bytes?.length);
  }
  expect((await run(sandbox, "echo next")).stdout.text).toBe("next\n");
});

test("64 contexts may live side by side, and one more is refused in words", async () => {
  await using sandboxes = await startLocalSandboxes();
  const sandbox = sandboxes.open();
  const names = Array.from({ length: 64 }, (_, index) => `c${index}`);
  for (const context of names) await runCode(sandbox, `let mine = "${context}"`, { language: "javascript", context });
  await expect(runCode(sandbox, "1", { language: "javascript", context: "one more" })).rejects.toMatchObject({
    code: "limit_reached",
  });
  expect((await runCode(sandbox, "mine", { language: "typescript", context: "c63" })).results).toEqual([
    { text: "'c63'" },
  ]);
  expect(await sandbox.listContexts()).toHaveLength(64);
}, 120_000);
