import { sha256Hex } from "../../auth/secrets.ts";
import type { Act } from "../../auth/acts.ts";
import type { BooksEntry } from "./book-table.ts";

/** An act as an entry of the books. It is no call: its id has a slash in it, by which those are counted. */
export async function entryOfAct({ name, by, what, atMs }: Act): Promise<BooksEntry> {
  const id = `act/${crypto.randomUUID()}`;
  const inputDigest = await sha256Hex(JSON.stringify(what));
  return {
    audit: { id, atMs, clientId: by, tool: name, outcome: "ok", durationMs: 0, inputDigest, outputBytes: 0 },
    cost: { callId: id, atMs, nanoUsd: 0 },
  };
}
