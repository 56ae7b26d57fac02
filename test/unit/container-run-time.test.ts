import { expect, test } from "vitest";
import { ContainerTime, noteRunning, readRunTime } from "../../container/run-time.ts";
import { containerNanoUsd } from "../../servers/account/prices.ts";

function memoryStorage(kept: ReadonlyMap<string, unknown> = new Map()): Parameters<typeof readRunTime>[0] {
  const values = new Map(kept);
  return { get: (key) => values.get(key), put: (key, value) => void values.set(key, value) };
}

test("times of running add up, and to say again how it is changes nothing", () => {
  const storage = memoryStorage();
  expect(readRunTime(storage)).toEqual({ pastMs: 0 });
  noteRunning(storage, false, 500);
  noteRunning(storage, true, 1_000);
  noteRunning(storage, true, 3_000);
  expect(readRunTime(storage)).toEqual({ pastMs: 0, startedAtMs: 1_000 });
  noteRunning(storage, false, 5_000);
  noteRunning(storage, false, 9_000);
  expect(readRunTime(storage)).toEqual({ pastMs: 4_000 });
  noteRunning(storage, true, 10_000);
  noteRunning(storage, false, 11_000);
  expect(readRunTime(storage)).toEqual({ pastMs: 5_000 });
});

test("a clock that goes back costs nobody anything", () => {
  const storage = memoryStorage();
  noteRunning(storage, true, 2_000);
  noteRunning(storage, false, 1_000);
  expect(readRunTime(storage)).toEqual({ pastMs: 0 });
});

test("what is stored and cannot be read counts as nothing", () => {
  expect(readRunTime(memoryStorage(new Map([["pincer:run-time", { pastMs: "much" }]])))).toEqual({ pastMs: 0 });
});

test("a standard-1 around the clock costs what the price list says", () => {
  const monthMs = 30 * 24 * 3_600_000;
  // $25.92 for 4 GiB, $1.45 for 8 GB, and $2.59 for a tenth of half a processor.
  expect(containerNanoUsd("standard-1", monthMs) / 1e9).toBeCloseTo(29.96, 2);
  expect(containerNanoUsd("standard-1", 0)).toBe(0);
});

test("what a container ran before it is known whose it is goes to that person's books, once", async () => {
  const kept: unknown[] = [];
  const time = new ContainerTime(memoryStorage(), "standard-1", (userId) => ({
    keepCosts: async (costs) => {
      await Promise.resolve(kept.push({ userId, costs }));
    },
  }));
  time.noteRunning("c1", true, 1_000);
  await time.settle(2_000);
  expect(kept).toEqual([]);
  time.noteOwner("ada-main");
  await time.settle(3_600_000 + 1_000);
  time.noteRunning("c1", false, 3_600_000 + 1_000);
  await time.settle(9_999_999);
  const row = {
    callId: "sandbox/c1/1000",
    atMs: 3_601_000,
    nanoUsd: 41_616_000,
    use: { kind: "sandbox", ms: 3_600_000 },
  };
  expect(kept).toEqual([{ userId: "ada", costs: [row] }]);
});
