import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { run } from "../sandbox/local-sandboxes.ts";
import { type SnapshotPerson, startSnapshotSuite } from "../sandbox/snapshot-suite.ts";
import { memoryMb, pick, processTree } from "../support/process-tree.ts";

/* Runtime and Worker are killed at every moment of snapshot and restore: what was saved comes back whole. */

const DELAYS_MS = [0, 10, 30, 80, 150, 300, 600, 1_200, 2_500, 5_000];
const BY_HAND = { after: "1h" };

const PATIENT = { waitMs: 600_000, timeoutMs: 600_000 };

async function text({ remote }: SnapshotPerson, command: string): Promise<string> {
  const { stdout, stderr } = await run(remote.sandbox, command, PATIENT);
  return stdout.text + stderr.text;
}

for (const which of ["runtime", "Worker"] as const) {
  test(`a ${which} that is killed at any moment of a snapshot or a restore loses nothing that was saved`, async () => {
    await using suite = await startSnapshotSuite(BY_HAND);
    const person = suite.newPerson();
    await text(
      person,
      "mkdir many; for i in $(seq 2000); do echo $i > many/$i; done; head -c 40M /dev/urandom > large",
    );
    const kill = async (): Promise<void> => await (which === "runtime" ? person.killRuntime() : person.killWorker());
    const sums = "sha256sum -c --quiet sums && cat round";
    for (const [round, delayMs] of DELAYS_MS.entries()) {
      await text(
        person,
        `echo ${round} > round; head -c 1M /dev/urandom > large.new; cat large.new >> large;
        sha256sum large many/* > sums`,
      );
      const saving = person.remote.saveSnapshot().catch(() => false);
      await sleep(delayMs);
      await kill();
      const isSaved = (await saving) || (await person.remote.saveSnapshot());
      expect(isSaved).toBe(true);

      await person.lose();
      const cut = run(person.remote.sandbox, sums).catch(() => undefined);
      await sleep(delayMs);
      await kill();
      await cut;
      expect(await text(person, sums)).toBe(`${round}\n`);
      expect(new Set((await person.keys()).map((key) => key.split("/")[1])).size).toBeLessThanOrEqual(6);
    }
  });
}

test("two gigabytes go out and in through a fraction of that in memory, with all that stands in for R2", async () => {
  await using suite = await startSnapshotSuite(BY_HAND);
  const person = suite.newPerson();
  await text(person, "head -c 1M /dev/urandom > small");
  await person.remote.saveSnapshot();
  const parts = async (): Promise<readonly number[]> =>
    await pick(await processTree(process.pid), /\/workerd |\/runtime\.ts|\/agent\.mjs/);
  const before = await memoryMb(await parts());
  let peak = 0;
  const timer = setInterval(() => {
    void parts().then(async (pids) => (peak = Math.max(peak, await memoryMb(pids))));
  }, 1_000);
  await text(
    person,
    "for i in 1 2 3 4; do head -c 256M /dev/urandom > r$i; cp r$i s$i; done; sha256sum r* s* > sums; du -sm .",
  );
  expect(await person.remote.saveSnapshot()).toBe(true);
  await person.lose();
  // It takes longer than a call may wait, and goes on.
  await expect(run(person.remote.sandbox, "true", { waitMs: 0 })).rejects.toMatchObject({
    code: "unavailable",
    message: expect.stringMatching(/^The sandbox is being restored \(\d+ of \d+ MB\); try again/),
  });
  expect(await text(person, "sha256sum -c --quiet sums; ls r* s? | wc -l")).toBe("8\n");
  clearInterval(timer);
  expect(peak - before).toBeLessThan(500);
});
