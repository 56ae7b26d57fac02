import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Sandbox } from "../../servers/sandbox/driver.ts";
import { run, runCode } from "../support/sandbox-contract.ts";
import { type RemoteSandbox, remoteSandbox } from "./remote-sandbox.ts";
import { type StandIn, startStandIn, whyNoStandIn } from "./stand-in.ts";

const reason = whyNoStandIn();
const MIB = 1024 ** 2;
const DISK_BYTES = 8 * MIB;
const NO_ROOM = /No space left on device/;
const LOST = ["The sandbox's disk was full, so not all that this command wrote was kept; delete files to make room."];
/** The stand-in has three disks, a container one. */
const FILL = `for folder in /workspace /var /tmp; do head -c ${2 * DISK_BYTES} /dev/zero > $folder/fill; done 2>/dev/null`;
const EMPTY = "rm /workspace/fill /var/fill /tmp/fill";
const READ = { after: { stdout: 0, stderr: 0 }, waitMs: 20_000, maxChars: 1_000 } as const;

if (reason === undefined) {
  describe("a container whose whole disk is full", () => {
    let standIn: StandIn;
    beforeAll(async () => (standIn = await startStandIn({}, { diskBytes: DISK_BYTES })));
    afterAll(async () => await standIn.close());

    const open = (): RemoteSandbox => remoteSandbox(standIn.url, `u${crypto.randomUUID().replaceAll("-", "")}`);

    async function openFull(before = "true", { sandbox } = open()): Promise<Sandbox> {
      await run(sandbox, before);
      await run(sandbox, FILL);
      expect((await run(sandbox, "df -B1 --output=avail /workspace /var /tmp | tail -n +2")).stdout.text).toMatch(
        /^(\s*0\n){3}$/,
      );
      return sandbox;
    }

    test("runs commands, whose own errors tell of it, and says that their output is not kept", async () => {
      const sandbox = await openFull();
      const result = await run(sandbox, "echo said; echo more > /workspace/more");
      expect(result).toMatchObject({ exitCode: 1, stdout: { text: "said\n" }, notes: LOST });
      expect(result.stderr.text).toMatch(NO_ROOM);
      expect(await sandbox.readProcess(result.processId, { ...READ, until: "end" }, quiet())).toMatchObject({
        isRunning: false,
        exitCode: 1,
        notes: LOST,
      });
    });

    test("shows how full it is, what runs in it, and whose code has state", async () => {
      const sandbox = await openFull();
      const { processId } = await run(sandbox, "sleep 60", { waitMs: 0 });
      await runCode(sandbox, "kept = 1");
      const { disk, state } = await sandbox.status();
      expect([state, disk?.usedBytes]).toEqual(["running", disk?.limitBytes]);
      expect((await sandbox.listProcesses())[0]).toMatchObject({ processId, isRunning: true });
      expect(await sandbox.listContexts()).toEqual([{ language: "python", context: "main", isBusy: false }]);
    });

    test.each(["python", "javascript"] as const)(
      "runs %s in a new context, which keeps its state",
      async (language) => {
        const sandbox = await openFull();
        expect((await runCode(sandbox, "kept = 1", { language })).error).toBeUndefined();
        expect((await runCode(sandbox, "kept + 1", { language })).results).toEqual([{ text: "2" }]);
      },
    );

    test("runs a command that is too long to be an argument", async () => {
      const sandbox = await openFull();
      const { exitCode, stdout } = await run(sandbox, `: ${"x".repeat(900_000)}; echo long`);
      expect([exitCode, stdout.text]).toEqual([0, "long\n"]);
    });

    test("lets a command be typed to, waited for and ended", async () => {
      const sandbox = await openFull();
      const { processId } = await run(sandbox, "read line; echo $line > /dev/shm/line; sleep 60", {
        input: "open",
        waitMs: 0,
      });
      await sandbox.writeInput(processId, { text: "typed\n", isEnd: false });
      await run(sandbox, "until grep typed /dev/shm/line; do sleep 0.05; done");
      await sandbox.signalProcess(processId, "SIGKILL");
      const end = await sandbox.readProcess(processId, { ...READ, until: "end" }, quiet());
      expect(end).toMatchObject({ isRunning: false, signal: "SIGKILL" });
    });

    test("reads files, refuses in words to write one, and leaves nothing of it behind", async () => {
      const sandbox = await openFull("echo kept > kept");
      expect(new TextDecoder().decode(await sandbox.readFile("kept", 100))).toBe("kept\n");
      for (const size of [100_000, 5 * MIB]) {
        await expect(sandbox.writeFile("new", new Uint8Array(size))).rejects.toMatchObject({ code: "limit_reached" });
      }
      expect((await run(sandbox, "ls")).stdout.text).toBe("files\nfill\nkept\n");
    });

    test("starts the guest's server again where that was killed", async () => {
      const sandbox = await openFull();
      await run(sandbox, "kill -9 $(pgrep -of 'python3 .*/serve.py')");
      expect((await run(sandbox, "echo alive")).stdout.text).toBe("alive\n");
    });

    test("keeps outputs as before once files were deleted, and what a command says from then on", async () => {
      const sandbox = await openFull();
      const { processId } = await run(sandbox, "echo lost; read line; echo kept", { input: "open", waitMs: 0 });
      const notes = async () => (await sandbox.readProcess(processId, { ...READ, waitMs: 0 }, quiet())).notes;
      await expect.poll(notes).toEqual(LOST);
      await run(sandbox, EMPTY);
      const after = await sandbox.writeInput(processId, { text: "\n", isEnd: true });
      expect(after.stdout).toBe(5);
      const end = { ...READ, until: "end" } as const;
      expect(await sandbox.readProcess(processId, { ...end, after }, quiet())).toMatchObject({
        exitCode: 0,
        stdout: { text: "kept\n", totalBytes: 10 },
        notes: LOST,
      });
      expect((await sandbox.readProcess(processId, end, quiet())).stdout.text).toBe("\n… 5 bytes left out …\nkept\n");
      await sandbox.writeFile("new", new Uint8Array(5 * MIB));
      const next = await run(sandbox, "stat -c %s new; echo next");
      expect(next).toMatchObject({ exitCode: 0, stdout: { text: "5242880\nnext\n" } });
      expect(next.notes).toBeUndefined();
      expect((await sandbox.readProcess(next.processId, end, quiet())).stdout.text).toBe("5242880\nnext\n");
    });

    test("keeps the beginning of what found room in part", async () => {
      const sandbox = await openFull();
      const { processId } = await run(
        sandbox,
        `truncate -s -1M /var/fill; head -c ${3 * MIB} /dev/zero | tr '\\0' x; ${EMPTY}; sleep 0.5; echo end`,
      );
      const { stdout } = await sandbox.readProcess(processId, READ, quiet());
      expect(stdout.text).toMatch(/^x{600}\n… \d+ bytes left out …\n.*end\n$/s);
      expect(stdout.totalBytes).toBe(3 * MIB + 4);
    });

    test("has its workspace saved, and is what it was after it has slept", async () => {
      const remote = open();
      const sandbox = await openFull("echo kept > kept", remote);
      expect(await remote.saveSnapshot()).toBe(true);
      await standIn.stopContainers();
      expect((await run(sandbox, `cat kept; stat -c %s fill`)).stdout.text).toMatch(/^kept\n8\d{6}\n$/);
    });

    test("is empty again after a reset", async () => {
      const sandbox = await openFull();
      await sandbox.reset();
      expect((await run(sandbox, "ls; echo alive")).stdout.text).toBe("files\nalive\n");
    });
  });
} else {
  describe("a container whose whole disk is full", () => {
    test.skip(`still answers (skipped: ${reason})`, () => undefined);
  });
}

function quiet(): { readonly signal: AbortSignal } {
  return { signal: new AbortController().signal };
}
