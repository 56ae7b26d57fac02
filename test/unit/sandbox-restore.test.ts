import { expect, test } from "vitest";
import { type RestoreReport, type SnapshotKeeper, Unrestored, whenRestored } from "../../servers/sandbox/workspace.ts";

/** A keeper that answers what is scripted, each time it is asked to restore. */
function keeperThat(...reports: readonly RestoreReport[]): SnapshotKeeper & { readonly waits: number[] } {
  const waits: number[] = [];
  return {
    waits,
    noteChange: () => undefined,
    restore: async (waitMs) => {
      waits.push(waitMs);
      return await Promise.resolve(reports[waits.length - 1] ?? { state: "restored" });
    },
    reset: async () => await Promise.resolve(undefined),
    sleep: async () => await Promise.resolve(undefined),
    fork: async () => await Promise.resolve(undefined),
    discard: async () => await Promise.resolve(undefined),
    describe: async () => await Promise.resolve({ notes: [] }),
  };
}

/** Work that meets an unrestored sandbox so many times. */
function meets(times: number): () => Promise<string> {
  let met = 0;
  return async () => {
    if (met < times) {
      met += 1;
      throw new Unrestored("not yet");
    }
    return await Promise.resolve("done");
  };
}

const HALF = { state: "restoring", doneBytes: 40_000_000, totalBytes: 80_000_000 } as const;

test("a call whose sandbox is restored asks nobody", async () => {
  const keeper = keeperThat();
  expect(await whenRestored(keeper, { waitMs: 1_000 }, meets(0))).toBe("done");
  expect(keeper.waits).toEqual([]);
});

test("a call waits for its sandbox to be restored, tells how far that is, and what there is to know of it", async () => {
  const keeper = keeperThat(HALF, { state: "restored", note: "It is an older one." });
  const [told, said]: [(string | undefined)[], string[]] = [[], []];
  const watch = {
    signal: new AbortController().signal,
    onStarting: (progress?: string) => void told.push(progress),
  };
  const result = await whenRestored(keeper, { waitMs: 1_000, watch, say: (note) => void said.push(note) }, meets(1));
  expect(result).toBe("done");
  expect(told).toEqual(["40 of 80 MB of its workspace are restored"]);
  expect(said).toEqual(["It is an older one."]);
});

test("a failed restore and a second loss are told; a client that has gone is not waited for", async () => {
  const failed = { state: "failed", code: "unavailable", message: "Try again." } as const;
  await expect(whenRestored(keeperThat(failed), { waitMs: 0 }, meets(1))).rejects.toMatchObject({
    code: "unavailable",
    message: "Try again.",
  });
  await expect(whenRestored(keeperThat(), { waitMs: 0 }, meets(2))).rejects.toMatchObject({ code: "unavailable" });
  const watch = { signal: AbortSignal.abort() };
  await expect(whenRestored(keeperThat(HALF), { waitMs: 0, watch }, meets(1))).rejects.toMatchObject({
    code: "cancelled",
  });
});
