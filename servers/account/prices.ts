/**
 * What a call costs beyond the $5 plan, in billionths of a US dollar. Read on 2026-11-22 from Cloudflare's pricing
 * pages for Workers and Durable Objects (developers.cloudflare.com/workers/platform/pricing,
 * …/durable-objects/platform/pricing).
 */
const NANO_USD = {
  workerRequest: 300,
  durableObjectRequest: 150,
  durableObjectRowWritten: 1_000,
} as const;

/**
 * One guarded call: the Worker's request, the request to `Account`, its two rows. Container, browser and model time
 * is settled where a session or run ends, not here. A suite on the person's own machine is billed by nobody.
 */
export function callNanoUsd(isBilled: boolean): number {
  if (!isBilled) return 0;
  return NANO_USD.workerRequest + NANO_USD.durableObjectRequest + 2 * NANO_USD.durableObjectRowWritten;
}
