import fc from "fast-check";
import { expect, test } from "vitest";
import { daysBetween, monthOf, periodsBetween } from "../../servers/directory/periods.ts";

const DAY_MS = 24 * 60 * 60 * 1_000;
const dayAt = (number: number): string => new Date(number * DAY_MS).toISOString().slice(0, 10);

test("a range is whole months, and the days before and after them", () => {
  expect(periodsBetween("2026-01-30", "2026-03-02")).toEqual([
    "2026-01-30",
    "2026-01-31",
    "2026-02",
    "2026-03-01",
    "2026-03-02",
  ]);
  expect(periodsBetween("2028-02-01", "2028-02-29")).toEqual(["2028-02"]);
  expect(periodsBetween("2028-02-01", "2028-02-28")).toHaveLength(28);
  expect(periodsBetween("2026-11-05", "2026-11-04")).toEqual([]);
  expect(periodsBetween("today", "tomorrow")).toEqual([]);
});

test("the periods of a range have each of its days once, and no other", () => {
  const ranges = fc.tuple(fc.integer({ min: 15_000, max: 25_000 }), fc.integer({ min: 0, max: 800 }));
  fc.assert(
    fc.property(ranges, ([first, length]) => {
      const [fromDay, toDay] = [dayAt(first), dayAt(first + length)];
      const days = periodsBetween(fromDay, toDay).flatMap((period) =>
        period.length === 10
          ? [period]
          : daysBetween(`${period}-01`, dayAt(first + length)).filter((day) => monthOf(day) === period),
      );
      expect(days).toEqual(daysBetween(fromDay, toDay));
      expect(days).toHaveLength(length + 1);
    }),
    { numRuns: 60 },
  );
});
