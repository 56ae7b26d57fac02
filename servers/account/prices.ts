import type { Settings } from "../shared/settings.ts";

/** What one thing costs, where that is said, and the day on which it was read there. */
export interface Price {
  readonly what: string;
  /** For one of `unit`, in US dollars. */
  readonly usd: number;
  readonly unit: string;
  /** What the $5 plan has of it for a month already. */
  readonly included: number;
  readonly source: string;
  readonly readOn: string;
}

const DOCS = "https://developers.cloudflare.com";
const PLANS = {
  workers: `${DOCS}/workers/platform/pricing/`,
  durableObjects: `${DOCS}/durable-objects/platform/pricing/`,
  containers: `${DOCS}/containers/pricing/`,
  browser: `${DOCS}/browser-run/pricing/`,
  r2: `${DOCS}/r2/pricing/`,
} as const;

function price(what: string, usd: number, unit: string, included: number, source: string): Price {
  return { what, usd, unit, included, source, readOn: "2026-11-22" };
}

/**
 * The one table that all estimates are made from. What models cost has a table of its own, with a source for each
 * (delegate/model/listed-prices.ts).
 */
export const PRICES = {
  plan: price("Workers Paid plan", 5, "month", 0, PLANS.workers),
  workerRequests: price("Requests to the Worker", 0.3, "million", 10, PLANS.workers),
  durableObjectRequests: price("Requests to Durable Objects", 0.15, "million", 1, PLANS.durableObjects),
  durableObjectTime: price("Time of Durable Objects", 12.5, "million GB-seconds", 0.4, PLANS.durableObjects),
  rowsWritten: price("Rows written", 1, "million", 50, PLANS.durableObjects),
  containerMemory: price("Memory of sandboxes", 0.009, "GiB-hour", 25, PLANS.containers),
  containerCpu: price("Processors of sandboxes, while they work", 0.072, "vCPU-hour", 6.25, PLANS.containers),
  containerDisk: price("Disks of sandboxes", 0.000252, "GB-hour", 200, PLANS.containers),
  browserTime: price("Browsers", 0.09, "hour", 10, PLANS.browser),
  storage: price("Files", 0.015, "GB-month", 10, PLANS.r2),
} as const satisfies Readonly<Record<string, Price>>;

export type InstanceType = Settings["SANDBOX_INSTANCE_TYPE"];

/** The sizes that containers come in (developers.cloudflare.com/containers/platform/limits, read on 2026-11-27). */
export const INSTANCE_SIZES: Readonly<
  Record<InstanceType, { readonly vcpus: number; readonly memoryGib: number; readonly diskGb: number }>
> = {
  lite: { vcpus: 1 / 16, memoryGib: 0.25, diskGb: 2 },
  basic: { vcpus: 1 / 4, memoryGib: 1, diskGb: 4 },
  "standard-1": { vcpus: 1 / 2, memoryGib: 4, diskGb: 8 },
  "standard-2": { vcpus: 1, memoryGib: 6, diskGb: 12 },
  "standard-3": { vcpus: 2, memoryGib: 8, diskGb: 16 },
  "standard-4": { vcpus: 4, memoryGib: 12, diskGb: 20 },
};

/** Only the time that a processor works is billed, and no container says how much that was: a guess at its share. */
export const ACTIVE_CPU_SHARE = 0.1;

/**
 * What a call takes of Durable Objects, at the pace of an agent that calls every few seconds: what does the work, its
 * rows in `Account`, and its share of what the gate asks and the directory is told. Counted on 2026-11-28: 6 requests
 * and 35 rows where no other call comes within five seconds, 2 and 6 where many do.
 */
export const DURABLE_OBJECT_REQUESTS_A_CALL = 4;
export const ROWS_A_CALL = 20;

const NANO = 1e9;
const MILLION = 1e6;
const HOUR_MS = 3_600_000;
const DAYS_A_MONTH = 30;

/**
 * One guarded call, beyond what the plan includes: the Worker's request, those to Durable Objects, its rows. Container,
 * browser and model time is settled where a session or run ends, not here. A suite on the person's own machine is billed
 * by nobody.
 */
export function callNanoUsd(isBilled: boolean): number {
  if (!isBilled) return 0;
  const usd =
    PRICES.workerRequests.usd +
    DURABLE_OBJECT_REQUESTS_A_CALL * PRICES.durableObjectRequests.usd +
    ROWS_A_CALL * PRICES.rowsWritten.usd;
  return Math.round((usd * NANO) / MILLION);
}

/** What a container of that size has cost in all the time that it ran. */
export function containerNanoUsd(instanceType: InstanceType, ranMs: number): number {
  const { vcpus, memoryGib, diskGb } = INSTANCE_SIZES[instanceType];
  const usdPerHour =
    vcpus * ACTIVE_CPU_SHARE * PRICES.containerCpu.usd +
    memoryGib * PRICES.containerMemory.usd +
    diskGb * PRICES.containerDisk.usd;
  return Math.round((usdPerHour * NANO * ranMs) / HOUR_MS);
}

/** What a browser has cost in that time of running, used or not; the price of many at once is not in it. */
export function browserNanoUsd(ranMs: number): number {
  return Math.round((PRICES.browserTime.usd * NANO * ranMs) / HOUR_MS);
}

/** What so many bytes in R2 cost for a day. */
export function storageNanoUsd(bytes: number): number {
  return Math.round((PRICES.storage.usd * bytes) / DAYS_A_MONTH);
}
