import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import type { CommandResult, Sandbox } from "../../servers/sandbox/driver.ts";
import type { ContractFiles } from "./sandbox-contract.ts";

export interface SnapshotSubject {
  /** A sandbox that no other case uses. A snapshot is taken a second after a change in it. */
  readonly open: () => Promise<{
    readonly sandbox: Sandbox;
    readonly files: ContractFiles;
    /** Has a snapshot taken now. */
    readonly saveSnapshot: () => Promise<boolean>;
    /** Takes its disk with all that runs on it, as sleep does in a container. */
    readonly lose: () => Promise<void>;
  }>;
  readonly timeoutMs?: number;
  /** Why the caller's files are not in its sandboxes on this machine. */
  readonly noFiles?: string;
}

const TIMEOUT_MS = 60_000;

/** What `servers/sandbox/workspace.ts` promises to the callers of every driver. */
export function describeSnapshots(name: string, subject: SnapshotSubject): void {
  describe(`${name}: what survives the loss of its disk`, { timeout: subject.timeoutMs ?? TIMEOUT_MS }, () => {
    test("modes, times, links, odd names and empty folders come back", async () => {
      const { sandbox, lose, saveSnapshot } = await subject.open();
      await run(
        sandbox,
        `umask 022; mkdir -p empty project/src && cd project
        printf '#!/bin/sh\\necho ran\\n' > run.sh && chmod 750 run.sh
        echo text > src/a && ln src/a src/hard && ln -s a src/soft && ln -s /nowhere dangling
        touch -d '2001-02-03 04:05:06.123456789' src/old && chmod 700 src && touch -d '2002-03-04 05:06:07' src
        head -c 3000000 /dev/urandom > large && truncate -s 50M holes
        printf x > $'new\\nline' && printf x > $'bytes\\xff' && printf x > -n && printf x > 'ü 😀'`,
      );
      const before = text(await run(sandbox, DESCRIBE));
      expect(await saveSnapshot()).toBe(true);
      await lose();
      expect(text(await run(sandbox, DESCRIBE))).toBe(before);
      expect(before).toContain("large");
      expect(text(await run(sandbox, "project/run.sh; stat -c %h project/src/hard; stat -c %b project/holes"))).toBe(
        "ran\n2\n0\n",
      );
    });

    const why = subject.noFiles === undefined ? "" : ` (skipped: ${subject.noFiles})`;
    test.skipIf(why !== "")(`the caller's files are in no snapshot, and are where they were${why}`, async () => {
      const { sandbox, files, lose, saveSnapshot } = await subject.open();
      await files.write("kept.txt", "one");
      await run(sandbox, "cat files/kept.txt > copy; head -c 3000000 /dev/urandom > files/large");
      expect(await saveSnapshot()).toBe(true);
      expect((await sandbox.status()).snapshot?.sizeBytes).toBeLessThan(1_000_000);
      await files.write("kept.txt", "two");
      await lose();
      expect(text(await run(sandbox, "cat copy files/kept.txt"))).toBe("onetwo");
      expect(await files.read("kept.txt")).toBe("two");
    });

    test("what .snapshotignore names is left out, and so are caches, sockets and pipes", async () => {
      const { sandbox, lose, saveSnapshot } = await subject.open();
      await run(
        sandbox,
        `printf '%s\\n' '# junk' '*.log' '!keep.log' '/build/' 'deep/**/tmp' > .snapshotignore
        mkdir -p .cache build sub/build deep/a/b/tmp; touch .cache/x build/x sub/build/x deep/a/b/tmp/x a.log sub/b.log keep.log
        mkfifo pipe; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket")'`,
      );
      expect(await saveSnapshot()).toBe(true);
      await lose();
      expect(text(await run(sandbox, "find . -path ./files -prune -o -print | sort"))).toBe(
        ["", "/.snapshotignore", "/deep", "/deep/a", "/deep/a/b", "/keep.log", "/sub", "/sub/build", "/sub/build/x"]
          .map((path) => `.${path}\n`)
          .join(""),
      );
    });

    test("parallel calls that find it lost have it restored once, before any of them begins", async () => {
      const { sandbox, lose, saveSnapshot } = await subject.open();
      await run(sandbox, "echo kept > kept");
      expect(await saveSnapshot()).toBe(true);
      await lose();
      const heard = await Promise.all(
        Array.from({ length: 8 }, async (_, index) => text(await run(sandbox, `cat kept; touch by-${index}`))),
      );
      expect(heard).toEqual(Array.from({ length: 8 }, () => "kept\n"));
      expect(text(await run(sandbox, "ls by-* | wc -l"))).toBe("8\n");
    });

    test("a file that is read or written, and code, find what was restored", async () => {
      const { sandbox, lose, saveSnapshot } = await subject.open();
      await sandbox.writeFile("kept", new TextEncoder().encode("one"));
      expect(await saveSnapshot()).toBe(true);
      await lose();
      expect(new TextDecoder().decode(await sandbox.readFile("kept", 100))).toBe("one");
      await sandbox.writeFile("beside", new TextEncoder().encode("two"));
      expect(await saveSnapshot()).toBe(true);
      await lose();
      await sandbox.writeFile("kept", new TextEncoder().encode("three"));
      expect(text(await run(sandbox, "cat kept beside"))).toBe("threetwo");
      expect(await saveSnapshot()).toBe(true);
      await lose();
      const { results } = await sandbox.runCode(
        { code: "open('kept').read()", language: "python", context: "main", timeoutMs: 30_000, maxChars: 1_000 },
        { signal: new AbortController().signal },
      );
      expect(results.at(-1)?.text).toBe("'three'");
    });

    test("what a process writes after its call has returned is saved without any further call", async () => {
      const { sandbox, lose } = await subject.open();
      await run(
        sandbox,
        "(for i in $(seq 100); do sleep 1; head -c ${i}000 /dev/urandom > late; done) > /dev/null 2>&1 &",
      );
      // The first snapshot may be of the empty workspace; looking goes on as long as something runs.
      const sizes = new Set<number | undefined>();
      while (sizes.size < 2) {
        sizes.add((await sandbox.status()).snapshot?.sizeBytes);
        sizes.delete(undefined);
        await sleep(100);
      }
      await lose();
      expect(text(await run(sandbox, "ls late"))).toBe("late\n");
    });

    test("a sandbox that was reset stays empty when it is lost, and keeps what came after", async () => {
      const { sandbox, lose, saveSnapshot } = await subject.open();
      await run(sandbox, "echo gone > gone");
      expect(await saveSnapshot()).toBe(true);
      await sandbox.reset();
      await lose();
      expect(text(await run(sandbox, "ls -A"))).toBe("files\n");
      await run(sandbox, "echo new > new");
      expect(await saveSnapshot()).toBe(true);
      await lose();
      expect(text(await run(sandbox, "ls -A"))).toBe("files\nnew\n");
    });

    test("a sandbox that is put to sleep has ended all that ran in it, and has everything else when it wakes", async () => {
      const { sandbox } = await subject.open();
      await sandbox.sleep();
      await run(sandbox, "echo kept > kept; echo late > late; exec sleep 314.1", { waitMs: 0 });
      await expect.poll(async () => (await sandbox.readFile("late", 10).catch(() => "")).length).toBe(5);
      await sandbox.sleep();
      expect((await sandbox.status()).state).toBe("asleep");
      await sandbox.sleep();
      expect(text(await run(sandbox, "cat kept late"))).toBe("kept\nlate\n");
      expect((await sandbox.listProcesses()).filter(({ isRunning }) => isRunning)).toEqual([]);
    });

    test.skipIf(why !== "")(
      `agents start again as it wakes, once, beside whatever call has woken it, which does not wait${why}`,
      async () => {
        const { sandbox, lose, saveSnapshot } = await subject.open();
        // In the place of the program \`preset\`, this writes down what it was asked, and goes on. Where it writes is
        // empty after each wake: the first one may find it made already.
        await run(
          sandbox,
          `mkdir -p .local/bin .local/state/presets
          printf '#!/bin/sh\\necho "$@" >> /tmp/asked\\nexec sleep 600\\n' > .local/bin/preset; chmod +x .local/bin/preset`,
        );
        expect(await saveSnapshot()).toBe(true);
        await lose();
        await sandbox.readFile(".local/bin/preset", 1_000);
        await expect.poll(async () => text(await run(sandbox, "cat /tmp/asked"))).toBe("resume\n");
        await sandbox.sleep();
        expect((await sandbox.status()).state).toBe("asleep");
        await expect.poll(async () => text(await run(sandbox, "cat /tmp/asked"))).toBe("resume\n");
        await sleep(500);
        expect(text(await run(sandbox, "cat /tmp/asked"))).toBe("resume\n");
        expect((await sandbox.listProcesses()).filter(({ command }) => command.includes("preset resume"))).toEqual([]);
      },
    );

    test("a sandbox that nobody has used has no snapshot, and a lost one says how old its own is", async () => {
      const { sandbox, lose, saveSnapshot } = await subject.open();
      expect((await sandbox.status()).snapshot).toBeUndefined();
      await run(sandbox, "echo kept > kept");
      expect(await saveSnapshot()).toBe(true);
      await lose();
      expect((await sandbox.status()).snapshot).toEqual({ ageMs: expect.any(Number), sizeBytes: expect.any(Number) });
    });
  });
}

/** Everything that a snapshot has to keep of each file; of folders with the mount in them no time. */
const DESCRIBE = `find . -mindepth 1 -path ./files -prune -o -printf '%y %m %s %TY-%Tm-%Td %TT %l %p\\n' | sort;
  find . -path ./files -prune -o -type f -print0 | sort -z | xargs -0 sha256sum`;

async function run(sandbox: Sandbox, command: string, { waitMs = 30_000 } = {}): Promise<CommandResult> {
  return await sandbox.exec(
    { command, timeoutMs: 100_000, waitMs, maxChars: 20_000 },
    { signal: new AbortController().signal },
  );
}

function text({ stdout, stderr }: CommandResult): string {
  return stdout.text + stderr.text;
}
