import type { Caller } from "./caller.ts";

const MAX_AGE_MS = 30_000;
/** Where more are used in turn, each is gone before it comes again: well above a thousand, for a few megabytes. */
const MAX_ENTRIES = 4_000;

export interface VerifiedToken {
  readonly caller: Caller;
  readonly expiresAtSeconds: number;
  /** What is revoked with it: `<userId>:<grantId>`, or the client id of a personal token. */
  readonly grant?: string;
}

/**
 * Remembers verified tokens, so that a call need not ask KV or a Durable Object each time. What was revoked in another
 * isolate, or a person who lost their role, is let in for at most 30 s more; an expired token never is. Refusals are
 * not kept.
 */
export interface TokenCache {
  get(key: string): VerifiedToken | undefined;
  set(key: string, verified: VerifiedToken): void;
  /** The grant, the personal token, or something of it was revoked: it is verified anew. */
  forgetGrant(grant: string): void;
}

/** One per isolate, made by whoever starts it. Keys hold a hash of the token, never the token. */
export function createTokenCache(now: () => Date): TokenCache {
  const entries = new Map<string, { readonly verified: VerifiedToken; readonly untilMs: number }>();
  return {
    get: (key) => {
      const entry = entries.get(key);
      if (entry === undefined) return undefined;
      if (entry.untilMs > now().getTime()) return entry.verified;
      entries.delete(key);
      return undefined;
    },
    set: (key, verified) => {
      const nowMs = now().getTime();
      entries.delete(key);
      // A Map keeps the order of insertion: the first entry is the oldest.
      const [oldest] = entries.keys();
      if (entries.size >= MAX_ENTRIES && oldest !== undefined) entries.delete(oldest);
      entries.set(key, { verified, untilMs: Math.min(nowMs + MAX_AGE_MS, verified.expiresAtSeconds * 1000) });
    },
    forgetGrant: (grant) => {
      for (const [key, { verified }] of entries) if (verified.grant === grant) entries.delete(key);
    },
  };
}
