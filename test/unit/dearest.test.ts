import fc from "fast-check";
import { expect, test } from "vitest";
import { type Dear, dearest } from "../../servers/directory/dearest.ts";

/** What each key costs on each of four days; two of them are in each of two months. */
type Costs = readonly (readonly [number, number, number, number])[];

const MONTHS: Readonly<Record<string, readonly number[]>> = { first: [0, 1], second: [2, 3] };
/** The days that are asked for: a part of each month. */
const ASKED = [1, 2];

function rank(costs: Costs, days: readonly number[]): Dear[] {
  return costs
    .map((ofDays, key) => ({ key: String(key), cost: days.reduce((sum, day) => sum + (ofDays[day] ?? 0), 0) }))
    .toSorted((a, b) => b.cost - a.cost);
}

function askDearest(costs: Costs, limit: number): { readonly rows: readonly Dear[]; readonly added: number } {
  let added = 0;
  const rows = dearest({
    limit,
    months: Object.keys(MONTHS),
    dearestOf: (month, depth) => rank(costs, MONTHS[month] ?? []).slice(0, depth),
    sumsOf: (keys) => {
      added += keys?.length ?? costs.length;
      return rank(costs, ASKED).filter(({ key }) => keys?.includes(key) ?? true);
    },
    costOf: ({ cost }) => cost,
  });
  return { rows, added };
}

test("those found cost as much as the dearest do, whatever they cost on other days", () => {
  const cost = fc.oneof(fc.constant(0), fc.nat(10), fc.nat(1_000_000));
  const costs = fc.array(fc.tuple(cost, cost, cost, cost), { maxLength: 60 });
  fc.assert(
    fc.property(costs, fc.integer({ min: 1, max: 8 }), (all, limit) => {
      const { rows } = askDearest(all, limit);
      const best = rank(all, ASKED).slice(0, limit);
      expect(rows.map((row) => row.cost)).toEqual(best.map((row) => row.cost));
      expect(new Set(rows.map(({ key }) => key)).size).toBe(rows.length);
    }),
    { numRuns: 2_000 },
  );
});

test("where few make for most of the cost, few are added up", () => {
  const costs = Array.from({ length: 10_000 }, (_, key): Costs[number] => {
    const share = 1e9 / (1 + key);
    return [share, share, share, share];
  });
  expect(askDearest(costs, 100).added).toBeLessThan(1_000);
});
