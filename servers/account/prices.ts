import type { Settings } from "../shared/settings.ts";

/**
 * What a call costs beyond the $5 plan, in billionths of a US dollar. Read on 2026-11-22 from Cloudflare's pricing
 * pages for Workers, Durable Objects, Containers and Browser Run (developers.cloudflare.com/workers/platform/pricing,
 * …/durable-objects/platform/pricing, …/containers/pricing, …/browser-run/pricing).
 */
const NANO_USD = {
  workerRequest: 300,
  durableObjectRequest: 150,
  durableObjectRowWritten: 1_000,
  containerVcpuSecond: 20_000,
  containerMemoryGibSecond: 2_500,
  containerDiskGbSecond: 70,
  /** $0.09 an hour. */
  browserSecond: 25_000,
} as const;

export const PRICES_READ_ON = "2026-11-22";

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
const ACTIVE_CPU_SHARE = 0.1;

/**
 * One guarded call: the Worker's request, the request to `Account`, its two rows. Container, browser and model time
 * is settled where a session or run ends, not here. A suite on the person's own machine is billed by nobody.
 */
export function callNanoUsd(isBilled: boolean): number {
  if (!isBilled) return 0;
  return NANO_USD.workerRequest + NANO_USD.durableObjectRequest + 2 * NANO_USD.durableObjectRowWritten;
}

/** What a container of that size has cost in all the time that it ran. */
export function containerNanoUsd(instanceType: InstanceType, ranMs: number): number {
  const { vcpus, memoryGib, diskGb } = INSTANCE_SIZES[instanceType];
  const perSecond =
    vcpus * ACTIVE_CPU_SHARE * NANO_USD.containerVcpuSecond +
    memoryGib * NANO_USD.containerMemoryGibSecond +
    diskGb * NANO_USD.containerDiskGbSecond;
  return Math.round((perSecond * ranMs) / 1_000);
}

/** What a browser has cost in that time of running, used or not; the price of many at once is not in it. */
export function browserNanoUsd(ranMs: number): number {
  return Math.round((NANO_USD.browserSecond * ranMs) / 1_000);
}
