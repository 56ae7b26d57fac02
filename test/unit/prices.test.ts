import { expect, test } from "vitest";
import { type DeploymentUse, monthlyCost } from "../../servers/account/monthly-cost.ts";
import { callNanoUsd, PRICES, storageNanoUsd } from "../../servers/account/prices.ts";

const standard1 = (use: Partial<DeploymentUse>): DeploymentUse => ({
  instanceType: "standard-1",
  hoursPerDay: 0,
  ...use,
});

test("a deployment in which nothing runs costs the plan", () => {
  expect(monthlyCost(standard1({ storageGb: 10, callsPerDay: 1_000 })).totalUsd).toBe(5);
});

test("a standard-1 sandbox costs $34.65 a month around the clock, and $9.35 at four hours a day", () => {
  expect(monthlyCost(standard1({ hoursPerDay: 24 })).totalUsd).toBeCloseTo(34.65, 2);
  expect(monthlyCost(standard1({ hoursPerDay: 4 })).totalUsd).toBeCloseTo(9.35, 2);
});

test("what the plan includes is there once, however many sandboxes there are", () => {
  const { rows, totalUsd } = monthlyCost(standard1({ hoursPerDay: 24, sandboxes: 2 }));
  const memory = rows.find(({ what }) => what === PRICES.containerMemory.what);
  expect(memory).toMatchObject({ quantity: 5_840, included: 25 });
  expect(memory?.totalUsd).toBeCloseTo(52.335, 3);
  // Twice 34.65, one plan less, and what is included of memory, processors and disks; two objects stay in memory.
  expect(totalUsd).toBeCloseTo(2 * 34.654 - 5 + 25 * 0.009 + 6.25 * 0.072 + 200 * 0.000252 + 3.41, 1);
});

test("browsers, files and calls cost what they take beyond the plan", () => {
  const totalOf = (use: Partial<DeploymentUse>): number => monthlyCost(standard1(use)).totalUsd - 5;
  expect(totalOf({ browserHoursPerDay: 1 })).toBeCloseTo((365 / 12 - 10) * 0.09, 6);
  expect(totalOf({ storageGb: 110 })).toBeCloseTo(1.5, 6);
  const calls = (1e6 * 365) / 12;
  const requests = (calls - 10e6) * 0.3e-6 + (4 * calls - 1e6) * 0.15e-6;
  expect(totalOf({ callsPerDay: 1e6 })).toBeCloseTo(requests + (20 * calls - 50e6) * 1e-6, 3);
});

test("a call, and a gigabyte for a day, cost what the table says, and nothing on one's own machine", () => {
  expect(callNanoUsd(true)).toBe(300 + 4 * 150 + 20 * 1_000);
  expect(callNanoUsd(false)).toBe(0);
  expect(storageNanoUsd(1e9)).toBe(500_000);
});

test("every price says where and when it was read", () => {
  for (const { source, readOn } of Object.values(PRICES)) {
    expect(source).toMatch(/^https:\/\/developers\.cloudflare\.com\//);
    expect(readOn).toMatch(/^\d{4}-\d{2}-\d{2}$/);
  }
});
