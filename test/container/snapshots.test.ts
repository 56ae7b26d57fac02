import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CommandResult, Sandbox } from "../../servers/sandbox/driver.ts";
import { describeSnapshots } from "../support/snapshot-contract.ts";
import { type RemoteSandbox, remoteSandbox } from "./remote-sandbox.ts";
import { type StandIn, startStandIn, whyNoMount, whyNoStandIn } from "./stand-in.ts";

const reason = whyNoStandIn();
const noFiles = reason ?? whyNoMount();

if (reason === undefined) {
  let standIn: StandIn;
  beforeAll(async () => (standIn = await startStandIn({ SNAPSHOT_AFTER: "1s" }, { isMounted: noFiles === undefined })));
  afterAll(async () => await standIn.close());
  const open = (): RemoteSandbox => remoteSandbox(standIn.url, `u${crypto.randomUUID().replaceAll("-", "")}`);

  describeSnapshots("container driver", {
    open: async () => await Promise.resolve({ ...open(), lose: async () => await standIn.stopContainers() }),
    ...(noFiles !== undefined && { noFiles }),
  });

  describe("a container's snapshots", { timeout: 120_000 }, () => {
    test("a container that is stopped while a snapshot is taken has the one before, or that one, never half", async () => {
      const { sandbox, saveSnapshot } = open();
      let savedGeneration = 0;
      for (const [generation, delayMs] of [0, 20, 60, 120, 250, 500, 1_000].entries()) {
        await run(
          sandbox,
          `echo ${generation} > first; yes ${generation} | head -c 20000000 > large; echo ${generation} > last`,
        );
        if (generation === 0) expect(await saveSnapshot()).toBe(true);
        const saving = saveSnapshot();
        await sleep(delayMs);
        await standIn.stopContainers();
        const isSaved = await saving;
        const seen = await run(
          sandbox,
          "cat first last; head -c 20000000 large | tr -d '\\n' | tr -s 0-9; stat -c ' %s' large",
        );
        const [first = "", last, large] = seen.stdout.text.split("\n");
        expect([last, large]).toEqual([first, `${first} 20000000`]);
        expect(Number(first)).toBeGreaterThanOrEqual(savedGeneration);
        if (isSaved) savedGeneration = Number(first);
      }
    });

    test("a container that is stopped while it is restored is restored anew, and nothing sees half of it", async () => {
      const { sandbox, saveSnapshot } = open();
      await run(
        sandbox,
        "head -c 20000000 /dev/urandom > large; sha256sum large > sum; mkdir end; echo kept > end/file",
      );
      expect(await saveSnapshot()).toBe(true);
      const seen: string[] = [];
      for (const delayMs of [0, 30, 60, 120, 250, 500, 1_000]) {
        await standIn.stopContainers();
        const running = run(sandbox, "sha256sum --check --status sum && cat end/file").then(
          ({ stdout }) => seen.push(stdout.text),
          () => undefined,
        );
        await sleep(delayMs);
        await standIn.stopContainers();
        await running;
      }
      seen.push((await run(sandbox, "sha256sum --check --status sum && cat end/file")).stdout.text);
      expect([...new Set(seen)]).toEqual(["kept\n"]);
    });

    test("a container that idles is saved before it sleeps, however long snapshots else wait", async () => {
      const idle = await startStandIn({ SNAPSHOT_AFTER: "1h", SANDBOX_SLEEP_AFTER: "1s" });
      try {
        const { sandbox } = remoteSandbox(idle.url, "u1");
        await run(sandbox, "echo kept > file");
        while ((await sandbox.status()).state !== "asleep") await sleep(200);
        expect((await run(sandbox, "cat file")).stdout.text).toBe("kept\n");
      } finally {
        await idle.close();
      }
    });
  });
} else {
  describe("a container's snapshots", () => {
    test.skip(`outlive it (skipped: ${reason})`, () => undefined);
  });
}

async function run(sandbox: Sandbox, command: string): Promise<CommandResult> {
  const limits = { timeoutMs: 60_000, waitMs: 60_000, maxChars: 10_000 };
  return await sandbox.exec({ command, ...limits }, { signal: new AbortController().signal });
}
