import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import type { Sandbox } from "../../servers/sandbox/driver.ts";
import { type ContractFiles, expectRefusal, run, runCode, text } from "./sandbox-contract.ts";

/** One of a person's sandboxes. */
export interface ForkedSandbox {
  readonly id: string;
  readonly sandbox: Sandbox;
  /** Takes its disk with all that runs on it. */
  readonly lose: () => Promise<void>;
  /** Everything that is stored of it: objects in the bucket of snapshots, folders on the disk. */
  readonly traces: () => Promise<readonly string[]>;
}

export interface ForkSubject {
  /** A person whom no other case knows, and sandboxes that nobody has used. */
  readonly open: () => Promise<{
    readonly files: ContractFiles;
    readonly source: ForkedSandbox;
    readonly copy: ForkedSandbox;
    readonly other: ForkedSandbox;
  }>;
  readonly timeoutMs?: number;
  /** Why the caller's files are not in its sandboxes on this machine. */
  readonly noFiles?: string;
}

const TIMEOUT_MS = 60_000;

/** What `servers/sandbox/driver.ts` promises of `fork`, of every driver that has snapshots. */
export function describeForks(name: string, subject: ForkSubject): void {
  describe(`${name}: copies`, { timeout: subject.timeoutMs ?? TIMEOUT_MS }, () => {
    test("a copy holds what the workspace held, and what changes on either side stays there", async () => {
      const { source, copy } = await subject.open();
      await run(source.sandbox, "mkdir -p src empty; echo one > src/a; ln -s a src/link; chmod 750 src; echo two > b");
      await source.sandbox.fork(copy.id);
      const look = "cat src/link b; stat -c %a src; ls -A";
      expect(text(await run(copy.sandbox, look))).toBe("one\ntwo\n750\nb\nempty\nfiles\nsrc\n");
      await run(copy.sandbox, "echo copied > src/a; rm b; touch mine");
      await run(source.sandbox, "echo original > b");
      expect(text(await run(source.sandbox, look))).toBe("one\noriginal\n750\nb\nempty\nfiles\nsrc\n");
      expect(text(await run(copy.sandbox, "cat src/a; ls"))).toBe("copied\nempty\nfiles\nmine\nsrc\n");
    });

    test("a copy has neither the processes nor the variables of what it was copied from, which keeps them", async () => {
      const { source, copy } = await subject.open();
      const { processId } = await run(source.sandbox, "sleep 600", { waitMs: 0, timeoutMs: 600_000 });
      await runCode(source.sandbox, "kept = 1");
      await source.sandbox.fork(copy.id);
      expect((await runCode(copy.sandbox, "'kept' in globals()")).results.at(-1)?.text).toBe("False");
      expect(await copy.sandbox.listProcesses()).toEqual([]);
      expect((await runCode(source.sandbox, "kept")).results.at(-1)?.text).toBe("1");
      expect(await source.sandbox.listProcesses()).toMatchObject([{ processId, isRunning: true }]);
    });

    test("what the target was before is gone: workspace, processes and contexts", async () => {
      const { source, copy } = await subject.open();
      await run(copy.sandbox, "echo old > old; echo old > both");
      await run(copy.sandbox, "sleep 600", { waitMs: 0, timeoutMs: 600_000 });
      await runCode(copy.sandbox, "old = 1");
      await run(source.sandbox, "echo new > both");
      await source.sandbox.fork(copy.id);
      expect((await copy.sandbox.listProcesses()).filter(({ isRunning }) => isRunning)).toEqual([]);
      expect(await copy.sandbox.listContexts()).toEqual([]);
      expect(text(await run(copy.sandbox, "cat both; ls"))).toBe("new\nboth\nfiles\n");
      expect((await runCode(copy.sandbox, "'old' in globals()")).results.at(-1)?.text).toBe("False");
    });

    test("a call that runs in the target ends, and the next one finds the copy", async () => {
      const { source, copy } = await subject.open();
      await run(source.sandbox, "echo new > new");
      const cut = run(copy.sandbox, "touch begun; sleep 600; touch late", { waitMs: 50_000, timeoutMs: 50_000 }).then(
        ({ exitCode }) => exitCode,
        () => "refused",
      );
      while ((await copy.sandbox.readFile("begun", 0).catch(() => undefined)) === undefined) await sleep(20);
      await source.sandbox.fork(copy.id);
      expect(await cut).not.toBe(0);
      expect(text(await run(copy.sandbox, "ls"))).toBe("files\nnew\n");
    });

    test("the copy of a sandbox that lost its disk holds its newest snapshot; of one never used, nothing", async () => {
      const { source, copy, other } = await subject.open();
      await run(source.sandbox, "echo kept > kept");
      await source.sandbox.fork(copy.id);
      await source.lose();
      await source.sandbox.fork(copy.id);
      expect(text(await run(copy.sandbox, "cat kept"))).toBe("kept\n");
      await other.sandbox.fork(copy.id);
      expect(text(await run(copy.sandbox, "ls -A"))).toBe("files\n");
    });

    test("a copy outlives the loss of its own disk, and the end of what it was copied from", async () => {
      const { source, copy } = await subject.open();
      await run(source.sandbox, "echo kept > kept");
      await source.sandbox.fork(copy.id);
      await source.sandbox.discard();
      expect(text(await run(copy.sandbox, "cat kept"))).toBe("kept\n");
      await copy.lose();
      expect(text(await run(copy.sandbox, "cat kept"))).toBe("kept\n");
    });

    test("a sandbox is copied while a command writes in it, which goes on there alone", async () => {
      const { source, copy } = await subject.open();
      await run(source.sandbox, "head -c 1M /dev/urandom > before; sha256sum before > sum");
      const begun = await run(source.sandbox, "for ((i = 0; ; i++)); do echo $i | tee -a log > file-$i; done", {
        waitMs: 0,
        timeoutMs: 50_000,
      });
      while ((await source.sandbox.readFile("file-1", 100).catch(() => undefined)) === undefined) await sleep(20);
      await source.sandbox.fork(copy.id);
      const count = "sha256sum --quiet -c sum && tail -n 1 log";
      const seen = text(await run(copy.sandbox, count));
      expect(Number(seen)).toBeGreaterThan(0);
      expect(text(await run(copy.sandbox, count))).toBe(seen);
      expect(Number(text(await run(source.sandbox, count)))).toBeGreaterThan(Number(seen));
      await source.sandbox.signalProcess(begun.processId, "SIGKILL");
    });

    test("copies are made at once, of a copy too, and each is a sandbox of its own", async () => {
      const { source, copy, other } = await subject.open();
      await run(source.sandbox, "echo shared > file");
      await Promise.all([source.sandbox.fork(copy.id), source.sandbox.fork(other.id)]);
      await run(copy.sandbox, "echo changed > file");
      expect(text(await run(other.sandbox, "cat file"))).toBe("shared\n");
      await copy.sandbox.fork(other.id);
      expect(text(await run(other.sandbox, "cat file"))).toBe("changed\n");
    });

    test("two sandboxes that become each other's copy at the same time both answer", async () => {
      const { source, copy } = await subject.open();
      await run(source.sandbox, "echo one > file");
      await run(copy.sandbox, "echo two > file");
      await Promise.allSettled([source.sandbox.fork(copy.id), copy.sandbox.fork(source.id)]);
      for (const { sandbox } of [source, copy]) expect(text(await run(sandbox, "cat file"))).toMatch(/^(one|two)\n$/);
    });

    test("a sandbox is no copy of itself, and stays what it was", async () => {
      const { source } = await subject.open();
      await run(source.sandbox, "echo kept > kept");
      await expectRefusal(source.sandbox.fork(source.id), "invalid_input");
      expect(text(await run(source.sandbox, "cat kept"))).toBe("kept\n");
    });

    const why = subject.noFiles === undefined ? "" : ` (skipped: ${subject.noFiles})`;
    test.skipIf(why !== "")(`the person's files are the same in both, and none is lost by a fork${why}`, async () => {
      const { source, copy, files } = await subject.open();
      await files.write("shared.txt", "one");
      await run(copy.sandbox, "nohup sh -c 'sleep 0.5; echo late > files/late.txt; touch done' > /dev/null 2>&1 &");
      while ((await copy.sandbox.readFile("done", 0).catch(() => undefined)) === undefined) await sleep(50);
      await run(source.sandbox, "cp files/shared.txt copied");
      await source.sandbox.fork(copy.id);
      expect(await files.read("late.txt")).toBe("late\n");
      await files.write("shared.txt", "two");
      expect(text(await run(copy.sandbox, "cat copied files/shared.txt files/late.txt"))).toBe("onetwolate\n");
    });
  });
}

/** What `servers/sandbox/driver.ts` promises of `discard`. */
export function describeDiscards(name: string, subject: ForkSubject): void {
  describe(`${name}: what is discarded`, { timeout: subject.timeoutMs ?? TIMEOUT_MS }, () => {
    test("nothing is stored any more of a copy that was discarded", async () => {
      const { source, copy } = await subject.open();
      await run(source.sandbox, "echo kept > kept");
      await source.sandbox.fork(copy.id);
      await run(copy.sandbox, "mkdir shut; echo secret > shut/in; chmod 0 shut");
      await run(copy.sandbox, "sleep 600", { waitMs: 0, timeoutMs: 600_000 });
      await runCode(copy.sandbox, "secret = 1");
      expect(await copy.traces()).not.toEqual([]);
      await copy.sandbox.discard();
      expect(await copy.traces()).toEqual([]);
      expect((await copy.sandbox.status()).state).toBe("asleep");
      expect((await copy.sandbox.status()).snapshot).toBeUndefined();
      expect(await copy.sandbox.listProcesses()).toEqual([]);
      expect(await copy.sandbox.listContexts()).toEqual([]);
      expect(text(await run(source.sandbox, "cat kept"))).toBe("kept\n");
      // Nor does anything come back when a snapshot would have been due.
      await sleep(2_000);
      expect(await copy.traces()).toEqual([]);
    });

    test("one that is used again is a fresh one, whose own changes are kept", async () => {
      const { copy } = await subject.open();
      await run(copy.sandbox, "echo old > old");
      await copy.sandbox.discard();
      expect(text(await run(copy.sandbox, "ls -A; echo new > new"))).toBe("files\n");
      expect((await runCode(copy.sandbox, "1 + 1")).results.at(-1)?.text).toBe("2");
      expect(text(await run(copy.sandbox, "cat new"))).toBe("new\n");
    });

    test("to discard one that was never used, or twice, is no error and leaves nothing", async () => {
      const { copy } = await subject.open();
      await copy.sandbox.discard();
      expect(await copy.traces()).toEqual([]);
      await run(copy.sandbox, "true");
      await copy.sandbox.discard();
      await copy.sandbox.discard();
      expect(await copy.traces()).toEqual([]);
    });

    test("calls that run when it is discarded end, and leave nothing", async () => {
      const { copy } = await subject.open();
      const calls = Array.from({ length: 4 }, async (_, index) =>
        run(copy.sandbox, `touch begun-${index}; sleep 600; touch late`, { waitMs: 50_000, timeoutMs: 50_000 }).then(
          ({ exitCode }) => exitCode,
          () => "refused",
        ),
      );
      while (text(await run(copy.sandbox, "ls begun-* | wc -l")) !== "4\n");
      await copy.sandbox.discard();
      expect(await Promise.all(calls)).not.toContain(0);
      expect(await copy.traces()).toEqual([]);
    });

    const why = subject.noFiles === undefined ? "" : ` (skipped: ${subject.noFiles})`;
    test.skipIf(why !== "")(
      `the person's files stay, and so does what came to them since the last call${why}`,
      async () => {
        const { copy, files } = await subject.open();
        await files.write("kept.txt", "kept");
        await run(copy.sandbox, "nohup sh -c 'sleep 0.5; echo late > files/late.txt; touch done' > /dev/null 2>&1 &");
        while ((await copy.sandbox.readFile("done", 0).catch(() => undefined)) === undefined) await sleep(50);
        await copy.sandbox.discard();
        expect(await copy.traces()).toEqual([]);
        expect(await files.read("kept.txt")).toBe("kept");
        expect(await files.read("late.txt")).toBe("late\n");
      },
    );
  });
}
