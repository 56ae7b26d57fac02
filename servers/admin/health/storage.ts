import type { Probe } from "./probe.ts";

/** Beside everybody's files, and of no one: what is put there is gone again when the check ends. */
const RESERVED = "health/";
const CONTENT = "Pincer was here.";
/** KV keeps nothing for less than a minute; should the check be cut off, its key ends by itself. */
const KEY_SECONDS = 60;

/** Puts a small object, reads it, replaces it under a condition that holds, not under one that does not, removes it. */
export function bucketProbe(binding: string, bucket: R2Bucket): Probe {
  return {
    name: `R2 bucket ${binding}`,
    failing: {
      says: "It does not keep an object, give it back, replace it under a condition and remove it.",
      todo: `Deployed, see that the bucket that wrangler.jsonc binds as ${binding} is there (npx wrangler r2 bucket list); locally, that the data folder can be written and its disk has room.`,
    },
    run: async () => {
      const key = `${RESERVED}${crypto.randomUUID()}`;
      try {
        await bucket.put(key, CONTENT);
        const stored = await bucket.get(key);
        if (stored === null || (await stored.text()) !== CONTENT)
          throw new Error("The object came back as another one.");
        const stale = await bucket.put(key, "stale", { onlyIf: { etagMatches: "0".repeat(32) } });
        if (stale !== null) throw new Error("A condition that did not hold was ignored.");
        const fresh = await bucket.put(key, "fresh", { onlyIf: { etagMatches: stored.etag } });
        if (fresh === null) throw new Error("A condition that held was refused.");
      } finally {
        await bucket.delete(key);
      }
      return { state: "ok", says: "It keeps an object, guards it against a stale write, and removes it." };
    },
  };
}

/** The same for the namespace that holds grants and clients. */
export function namespaceProbe(binding: string, namespace: KVNamespace): Probe {
  return {
    name: `KV namespace ${binding}`,
    failing: {
      says: "It does not keep a value, give it back and remove it, so nobody can sign in.",
      todo: `Deployed, see that the id beside ${binding} in wrangler.jsonc is that of a namespace of yours (npx wrangler kv namespace list); locally, that the data folder can be written.`,
    },
    run: async () => {
      const key = `${RESERVED}${crypto.randomUUID()}`;
      try {
        await namespace.put(key, CONTENT, { expirationTtl: KEY_SECONDS });
        if ((await namespace.get(key)) !== CONTENT) throw new Error("The value did not come back.");
      } finally {
        await namespace.delete(key);
      }
      return { state: "ok", says: "It keeps a value, gives it back, and removes it." };
    },
  };
}
