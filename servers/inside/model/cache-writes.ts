import type { CacheWritePrice, ModelPrice } from "../../delegate/model/model-prices.ts";

/**
 * What is written to Anthropic's cache costs so many times as much as other input
 * (platform.claude.com/docs/en/about-claude/pricing, read on 2026-11-28).
 */
const USUAL_WRITE = 1.25;
const LONG_WRITE = 2;

/** Whether a request may have something kept in the cache for longer. */
export function keepsLong(request: string): boolean {
  // A quotation mark within any of its texts has a backslash before it.
  return request.includes('"ttl":"1h"');
}

/** Where Anthropic tells how much it wrote, and for how long. */
export function toldWrites(price: ModelPrice | undefined, request: string): ModelPrice | undefined {
  return withWrites(price, { usual: USUAL_WRITE, long: keepsLong(request) ? LONG_WRITE : USUAL_WRITE });
}

/** Where the request goes to whoever may know Anthropic's marks, and may tell what they came to, but not for how long. */
export function possibleWrites(price: ModelPrice | undefined, request: string): ModelPrice | undefined {
  if (!request.includes('"cache_control":')) return price;
  const dearest = keepsLong(request) ? LONG_WRITE : USUAL_WRITE;
  return withWrites(price, { usual: dearest, long: dearest, isUnasked: true });
}

function withWrites(price: ModelPrice | undefined, cacheWrite: CacheWritePrice): ModelPrice | undefined {
  return price && { ...price, cacheWrite };
}
