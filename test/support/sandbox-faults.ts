import { beforeEach, describe, expect, test } from "vitest";
import type { CommandResult, Sandbox } from "../../servers/sandbox/driver.ts";
import { ToolError } from "../../servers/shared/errors.ts";
import { describeBadInput } from "./sandbox-bad-input.ts";
import { type ContractSubject, TIMEOUT_MS, leaveOut, run, runCode } from "./sandbox-contract.ts";

/** Where a sandbox ends. What has no end but the machine's own is absent, and is not used up. */
export interface FaultLimits {
  readonly maxProcesses?: number;
  readonly memoryBytes?: number;
  /** A folder in which there is no more room than that. */
  readonly disk?: { readonly folder: string; readonly bytes: number };
}

interface KeptSecrets {
  /** What the operator keeps from everybody inside. */
  readonly secrets: () => readonly string[];
}

const MIB = 1024 * 1024;
const NO_ROOM = /No space left on device/;
const COUNT_ZOMBIES = "grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l";

/** What goes wrong in a sandbox, or is made to: the caller gets a true answer, and the next call works. */
export function describeFaults(name: string, subject: ContractSubject & KeptSecrets, limits: FaultLimits): void {
  describeBadInput(name, subject);
  describeHostility(name, subject);
  describeExhaustion(name, subject, limits);
}

/** Programs that do not do as they are told. */
export function describeHostility(name: string, subject: ContractSubject & KeptSecrets): void {
  describe(`${name}: hostile programs`, { timeout: subject.timeoutMs ?? TIMEOUT_MS }, () => {
    leaveOut(subject);

    test("a zombie maker is ended with its command, and nothing is left of orphans", async () => {
      const { sandbox } = await subject.open();
      const maker = `
import os, time
for _ in range(100):
    if os.fork() == 0: os._exit(0)
print("made", flush=True)
time.sleep(60)`;
      const result = await run(sandbox, `python3 - <<'END'${maker}\nEND`, { timeoutMs: 5_000 });
      expect(result).toMatchObject({ hasTimedOut: true, signal: "SIGKILL", stdout: { text: "made\n" } });
      await run(sandbox, "for i in $(seq 100); do (sleep 0 &) ; done");
      await expect.poll(async () => (await run(sandbox, COUNT_ZOMBIES)).stdout.text.trim()).toBe("0");
    });

    test("a process that ignores every signal it can is killed at timeoutMs", async () => {
      const { sandbox } = await subject.open();
      const stubborn = `
import os, signal, time
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
os.setsid() if os.fork() == 0 else None
time.sleep(9191)`;
      const result = await run(sandbox, `exec python3 -c '${stubborn}'`, { timeoutMs: 1_000 });
      expect(result).toMatchObject({ hasTimedOut: true, signal: "SIGKILL", exitCode: 137 });
      expect(await count(sandbox, "9191")).toBe(0);
      const { processId } = await run(sandbox, "trap '' TERM; touch deaf; while :; do sleep 0.05; done", { waitMs: 0 });
      await expect.poll(async () => await sandbox.readFile("deaf", 0).catch(() => undefined)).toBeDefined();
      await sandbox.signalProcess(processId, "SIGTERM");
      await run(sandbox, "sleep 0.3");
      expect((await sandbox.listProcesses()).find((process) => process.processId === processId)?.isRunning).toBe(true);
      await sandbox.signalProcess(processId, "SIGKILL");
      const isOver = async () => (await sandbox.listProcesses()).find((process) => process.processId === processId);
      await expect.poll(isOver).toMatchObject({ isRunning: false, signal: "SIGKILL" });
    });

    test("a daemon that forks twice lives on after its command, and dies with one that is killed", async () => {
      const { sandbox } = await subject.open();
      const daemon = (seconds: number) =>
        `python3 -c 'import os; os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0); os.closerange(0, 3); os.execvp("sleep", ["sleep", "${seconds}"])'`;
      expect(await run(sandbox, `${daemon(6161)}; echo begun`)).toMatchObject({
        exitCode: 0,
        hasTimedOut: false,
        stdout: { text: "begun\n" },
      });
      const killed = await run(sandbox, `${daemon(7171)}; sleep 7171`, { timeoutMs: 1_500 });
      expect(killed).toMatchObject({ hasTimedOut: true, signal: "SIGKILL" });
      expect([await count(sandbox, "sleep 6161"), await count(sandbox, "sleep 7171")]).toEqual([1, 0]);
    });

    test("neither a variable, a process nor a file inside shows what the operator keeps secret", async () => {
      const { sandbox } = await subject.open();
      const secrets = subject.secrets();
      expect(secrets).not.toEqual([]);
      const look = [
        "printenv",
        "cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n'",
        "cat $(find /etc /run /tmp /workspace /var/lib /var/tmp -xdev -type f -size -1M)",
      ].join("; ");
      const { processId } = await run(sandbox, `{ ${look}; } 2>/dev/null`, { maxChars: 100 });
      const seen = await new Response((await sandbox.readOutput(processId, "stdout")).body).text();
      expect(seen).toContain("PATH=");
      for (const secret of secrets) expect(seen.includes(secret)).toBe(false);
      expect((await runCode(sandbox, "import os; dict(os.environ)")).results[0]?.text).toContain("PATH");
      for (const language of ["python", "javascript"] as const) {
        const code = language === "python" ? "import os; print(dict(os.environ))" : "console.log(process.env)";
        const { stdout } = await runCode(sandbox, code, { language });
        expect(stdout.text).toContain("PATH");
        for (const secret of secrets) expect(stdout.text.includes(secret)).toBe(false);
      }
    });

    test("no trick with /proc finds another caller's file, variable or process, and the next call works", async () => {
      const [own, other] = [await subject.open(), await subject.open()];
      const secret = crypto.randomUUID();
      await run(other.sandbox, `echo ${secret} > /workspace/secret; nohup sleep 600 >/dev/null 2>&1 &`, {
        env: { SECRET: secret },
      });
      const attempts = [
        "cat /proc/*/environ",
        "cat /proc/*/root/workspace/secret",
        "cat /proc/*/cwd/secret",
        "cat /proc/1/root/proc/*/environ",
        "ls /proc/1/cwd/../../root",
        "cat /proc/1/mem",
        "head -c1 /proc/kmem",
        "cat /proc/1/stack",
        "echo x > /proc/sys/fs/binfmt_misc/register",
        "echo 1 > /proc/1/attr/current",
        "ln -s /proc/1/root /workspace/out; cat /workspace/out/workspace/secret; rm /workspace/out",
      ];
      for (const attempt of attempts) {
        const { stdout, stderr } = await run(own.sandbox, attempt, { maxChars: MIB });
        expect(stdout.text + stderr.text, attempt).not.toContain(secret);
      }
      for (const path of ["/proc/1/root/workspace/secret", "/proc/self/environ-not", "/proc/1/mem"]) {
        await expect(own.sandbox.readFile(path, 100), path).rejects.toBeInstanceOf(ToolError);
      }
      expect((await run(own.sandbox, "echo next")).stdout.text).toBe("next\n");
      expect((await run(other.sandbox, "cat secret")).stdout.text).toBe(`${secret}\n`);
    });

    test("links that lead round, to nowhere, or to what has no end are refused, and none is waited for", async () => {
      const { sandbox } = await subject.open();
      await run(
        sandbox,
        "ln -s round round; ln -s /nowhere/at/all nowhere; ln -s /tmp folder; ln -s /dev/zero endless; mkfifo pipe; ln -s pipe to-pipe; ln -s ../../../../../../nobody up",
      );
      const refused = expect.stringMatching(/^(not_found|invalid_input|forbidden|too_large)$/);
      for (const path of ["round", "nowhere", "folder", "endless", "pipe", "to-pipe", "up", "round/below"]) {
        await expect(sandbox.readFile(path, 100), path).rejects.toMatchObject({ code: refused });
      }
      await expect(sandbox.writeFile("round/below", new Uint8Array(1))).rejects.toBeInstanceOf(ToolError);
      expect((await run(sandbox, "echo next")).stdout.text).toBe("next\n");
    });

    test("files that replace each other fast are never half of one, and never one outside", async () => {
      const { sandbox } = await subject.open();
      await run(sandbox, "printf secret > /tmp/file; mkdir -p in");
      const turns = "while :; do ln -sfn /tmp turn; ln -sfn /workspace/in turn; done";
      const { processId } = await run(sandbox, turns, { waitMs: 0 });
      let isRead = false;
      for (let round = 0; round < 20; round++) {
        await sandbox.writeFile("turn/file", new TextEncoder().encode("x".repeat(10_000))).catch(() => undefined);
        const bytes = await sandbox.readFile("turn/file", 20_000).catch(() => undefined);
        expect([undefined, 6, 10_000]).toContain(bytes?.length);
        isRead ||= bytes !== undefined;
      }
      expect(isRead).toBe(true);
      // Else it takes a core from all that comes after it.
      await sandbox.signalProcess(processId, "SIGKILL");
      expect((await run(sandbox, "echo next")).stdout.text).toBe("next\n");
    });
  });
}

/** Programs that take all there is. */
export function describeExhaustion(name: string, subject: ContractSubject, limits: FaultLimits): void {
  const { maxProcesses, memoryBytes, disk } = limits;

  describe(`${name}: programs that take all there is`, { timeout: subject.timeoutMs ?? TIMEOUT_MS }, () => {
    leaveOut(subject);
    const needs = (isLimited: boolean, what: string): void => {
      beforeEach(({ skip }) => skip(!isLimited, `${name} sets no limit on ${what}`));
    };

    describe("processes", () => {
      // Where the sandbox has no limit, the bomb brings one along, else it would take the machine with it.
      const tamed = maxProcesses === undefined ? "setpriv --reuid 65534 --clear-groups prlimit --nproc=500 " : "";
      const tame = maxProcesses === undefined ? "os.setuid(65534); resource.setrlimit(6, (500, 500))" : "";

      test("a fork bomb is ended, and the next command works", async () => {
        const { sandbox } = await subject.open();
        await run(sandbox, "echo kept > /workspace/kept");
        // Longer than it may run: what a command leaves behind lives on, and a bomb is no exception.
        const isAlive = await survives(
          run(sandbox, `${tamed}bash -c ':(){ :|:& };: ; sleep 30'`, { timeoutMs: 3_000 }),
        );
        await expectNextCommand(sandbox, isAlive);
        const left = async () => Number((await run(sandbox, "ls /proc | grep -c '^[0-9]'")).stdout.text);
        await expect.poll(left).toBeLessThan(25);
      });

      test("a fork bomb in code is ended, and the next run works", async () => {
        const { sandbox } = await subject.open();
        const code = `import os, resource\n${tame}\nwhile True:\n  try: os.fork()\n  except OSError: pass`;
        const bomb = await runCode(sandbox, code, { timeoutMs: 2_000 }).catch(unavailable);
        if (bomb !== undefined) expect(bomb.error?.name).toMatch(/ContextCrashed|Interrupted/);
        const next = async () => (await runCode(sandbox, "1 + 1").catch(unavailable))?.results;
        expect((await next()) ?? (await next())).toEqual([{ text: "2" }]);
      });
    });

    describe("memory", () => {
      needs(memoryBytes !== undefined, "memory");
      const large = Math.floor((memoryBytes ?? 0) * 0.4);

      test("many processes that use up the memory are ended, which is said, and the next command works", async () => {
        const { sandbox } = await subject.open();
        await run(sandbox, "echo kept > /workspace/kept");
        const hog = `python3 -c 'import time; x = bytearray(b"x") * ${large}; time.sleep(3)'`;
        const call = run(sandbox, `for i in 1 2 3 4 5; do ${hog} & done; wait`).then(({ notes, durationMs }) => {
          expect(notes?.join()).toMatch(/memory/);
          expect(durationMs).toBeLessThan(15_000);
        });
        await expectNextCommand(sandbox, await survives(call));
      });

      test("one process cannot take more memory than all may have", async () => {
        const { sandbox } = await subject.open();
        await run(sandbox, "echo kept > /workspace/kept");
        const hog = run(sandbox, `python3 -c 'bytearray(b"x") * ${large * 5}'`).then(({ exitCode }) => {
          expect(exitCode).not.toBe(0);
        });
        await expectNextCommand(sandbox, await survives(hog));
      });
    });

    describe("disk", () => {
      needs(disk !== undefined, "disk");
      const { folder, bytes } = disk ?? { folder: "", bytes: 0 };

      test("who fills a disk is told by the kernel, keeps what else there is, and can delete and go on", async () => {
        const { sandbox } = await subject.open();
        const inside = { cwd: folder };
        await run(sandbox, "echo kept > kept; nohup sleep 6002 >/dev/null 2>&1 &", inside);
        await runCode(sandbox, "kept = 1");
        const piece = Math.ceil(bytes / 4);
        const filled = await run(sandbox, `for i in $(seq 10); do head -c ${piece} /dev/zero > big$i || exit 7; done`, {
          ...inside,
        });
        expect(filled).toMatchObject({ exitCode: 7, stderr: { text: expect.stringMatching(NO_ROOM) } });
        expect(filled.notes).toBeUndefined();
        // Full: commands and code run, reading and deleting work, writing is refused in words.
        const still = await run(sandbox, "cat kept; echo more more > more; echo $?", inside);
        expect(still).toMatchObject({
          stdout: { text: "kept\n1\n" },
          stderr: { text: expect.stringMatching(NO_ROOM) },
        });
        expect(await count(sandbox, "sleep 6002")).toBe(1);
        expect((await runCode(sandbox, "kept")).results).toEqual([{ text: "1" }]);
        const large = `${folder}/large`;
        await expect(sandbox.writeFile(large, new Uint8Array(5 * MIB))).rejects.toMatchObject({
          code: "limit_reached",
        });
        expect(new TextDecoder().decode(await sandbox.readFile(`${folder}/kept`, 100))).toBe("kept\n");
        await run(sandbox, "rm big*", inside);
        await sandbox.writeFile(large, new Uint8Array(5 * MIB));
        expect((await run(sandbox, "cat kept; stat -c %s large", inside)).stdout.text).toBe("kept\n5242880\n");
      });

      test("many small files end at the disk's end too, and can be deleted", async () => {
        const { sandbox } = await subject.open();
        const maker =
          "import os\nos.mkdir('many')\nfor i in range(1_000_000): open(f'many/{i}', 'wb', 0).write(b'x' * 500)";
        const made = await run(sandbox, `python3 -c "${maker}"`, { cwd: folder, waitMs: 50_000 });
        expect(made).toMatchObject({ exitCode: 1, stderr: { text: expect.stringMatching(NO_ROOM) } });
        expect((await run(sandbox, "rm -r many; echo next > next; cat next", { cwd: folder })).stdout.text).toBe(
          "next\n",
        );
      });
    });
  });
}

/** A container whose last process or byte was taken is ended, and says so. */
async function survives(call: Promise<unknown>): Promise<boolean> {
  try {
    await call;
    return true;
  } catch (error) {
    unavailable(error);
    return false;
  }
}

function unavailable(error: unknown): undefined {
  expect(error).toMatchObject({ code: "unavailable", message: expect.stringMatching(/ended|stopped|did not answer/) });
}

/** At once, or, where what was taken is still on its way back, once more. A sandbox that was ended has lost its files. */
async function expectNextCommand(sandbox: Sandbox, isAlive: boolean): Promise<void> {
  const next = async (): Promise<CommandResult> =>
    await run(sandbox, "cat /workspace/kept 2>/dev/null; echo next", { timeoutMs: 20_000 });
  let result: CommandResult | undefined;
  let keeps = isAlive;
  for (let tries = 0; result === undefined && tries < 3; tries += 1) {
    result = await next().catch(unavailable);
    keeps &&= result !== undefined;
  }
  expect(result).toMatchObject({ exitCode: 0, stdout: { text: keeps ? "kept\nnext\n" : "next\n" } });
}

/** How many processes have that in their command line, as seen from inside. */
async function count(sandbox: Sandbox, words: string): Promise<number> {
  const pattern = words.replace(/^(.)/, "[$1]");
  const { stdout } = await run(
    sandbox,
    `cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -o '${pattern}' | wc -l`,
  );
  return Number(stdout.text);
}
