import { expect, test } from "vitest";
import type { SessionCost } from "../../servers/account/book-table.ts";
import { browserNanoUsd } from "../../servers/account/prices.ts";
import { SessionTime } from "../../servers/account/session-time.ts";

const BROWSER = { kind: "browser", key: "time", nanoUsdOf: browserNanoUsd } as const;
type Storage = ConstructorParameters<typeof SessionTime>[1];

function memoryStorage(): Storage {
  const values = new Map<string, unknown>();
  return { get: (key) => values.get(key), put: (key, value) => void values.set(key, value) };
}

/** Books that keep a row once, and can be out of reach. */
function books(): {
  rows: Map<string, SessionCost>;
  isReachable: boolean;
  keep: (rows: readonly SessionCost[]) => Promise<void>;
} {
  const rows = new Map<string, SessionCost>();
  const kept = {
    rows,
    isReachable: true,
    keep: async (given: readonly SessionCost[]): Promise<void> => {
      if (!kept.isReachable) throw new Error("out of reach");
      for (const row of given) if (!rows.has(row.callId)) rows.set(row.callId, row);
    },
  };
  return kept;
}

test("an hour of a browser costs what the price list says", () => {
  expect(browserNanoUsd(3_600_000) / 1e9).toBeCloseTo(0.09, 9);
  expect(browserNanoUsd(0)).toBe(0);
});

test("a browser is paid for up to now while it runs, and to its end when it has ended, once", async () => {
  const { rows, keep } = books();
  const time = new SessionTime(BROWSER, memoryStorage(), keep);
  time.begin("abc", 1_000);
  await time.settle(601_000);
  await time.settle(601_000);
  time.end("abc", 661_000);
  time.end("abc", 900_000);
  await time.settle(1_000_000);
  await time.settle(2_000_000);
  expect([...rows.values()]).toEqual([
    { callId: "browser/abc/1000", atMs: 601_000, nanoUsd: 15_000_000, use: { kind: "browser", ms: 600000 } },
    { callId: "browser/abc/601000", atMs: 661_000, nanoUsd: 1_500_000, use: { kind: "browser", ms: 60000 } },
  ]);
});

test("a browser that another one took the place of has ended by then", async () => {
  const { rows, keep } = books();
  const time = new SessionTime(BROWSER, memoryStorage(), keep);
  time.begin("abc", 0);
  time.begin("def", 10_000);
  // It hears late that the first one has ended.
  time.end("abc", 20_000);
  time.end("def", 40_000);
  await time.settle(50_000);
  expect([...rows.values()].map(({ callId, nanoUsd }) => [callId, nanoUsd])).toEqual([
    ["browser/abc/0", 250_000],
    ["browser/def/10000", 750_000],
  ]);
});

test("what was not settled before an eviction is settled after it", async () => {
  const storage = memoryStorage();
  const { rows, keep } = books();
  new SessionTime(BROWSER, storage, keep).begin("abc", 0);
  await new SessionTime(BROWSER, storage, keep).settle(60_000);
  expect([...rows.values()]).toEqual([
    { callId: "browser/abc/0", atMs: 60_000, nanoUsd: 1_500_000, use: { kind: "browser", ms: 60000 } },
  ]);
});

test("time that the books could not be told of is told later, and counted once", async () => {
  const account = books();
  const time = new SessionTime(BROWSER, memoryStorage(), account.keep);
  time.begin("abc", 0);
  account.isReachable = false;
  await expect(time.settle(60_000)).rejects.toThrow("out of reach");
  account.isReachable = true;
  await time.settle(120_000);
  expect([...account.rows.values()]).toEqual([
    { callId: "browser/abc/0", atMs: 60_000, nanoUsd: 1_500_000, use: { kind: "browser", ms: 60000 } },
    { callId: "browser/abc/60000", atMs: 120_000, nanoUsd: 1_500_000, use: { kind: "browser", ms: 60000 } },
  ]);
});

test("a browser that ends while the books are written is not lost", async () => {
  const storage = memoryStorage();
  const { rows, keep } = books();
  const time: SessionTime = new SessionTime(BROWSER, storage, async (given) => {
    if (rows.size === 0) time.end("abc", 90_000);
    await keep(given);
  });
  time.begin("abc", 0);
  await time.settle(60_000);
  await time.settle(100_000);
  expect([...rows.keys()]).toEqual(["browser/abc/0", "browser/abc/60000"]);
});

test("a clock that goes back costs nobody anything", async () => {
  const { rows, keep } = books();
  const time = new SessionTime(BROWSER, memoryStorage(), keep);
  time.begin("abc", 2_000);
  time.end("abc", 1_000);
  await time.settle(3_000);
  expect(rows.size).toBe(0);
});
