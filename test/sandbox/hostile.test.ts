import { expect, test } from "vitest";
import { run, runCode, startLocalSandboxes } from "./local-sandboxes.ts";

/* What a command can do to the sandbox around it, and only a local one shows; the next call has to work. */

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
