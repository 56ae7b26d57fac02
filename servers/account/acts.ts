import { sha256Hex } from "../../auth/secrets.ts";
import type { Act } from "../../auth/acts.ts";
import type { BooksEntry } from "./book-table.ts";

/** The id of what somebody did by hand: it is no call, and no call's id has a slash in it. */
export function actId(): string {
  return `act/${crypto.randomUUID()}`;
}

export function isCall({ audit: { id } }: BooksEntry): boolean {
  return !id.includes("/");
}

/** An act as an entry of the books. */
export async function entryOfAct({ name, by, what, atMs }: Act): Promise<BooksEntry> {
  const id = actId();
  const inputDigest = await sha256Hex(JSON.stringify(what));
  return {
    audit: { id, atMs, clientId: by, tool: name, outcome: "ok", durationMs: 0, inputDigest, outputBytes: 0 },
    cost: { callId: id, atMs, nanoUsd: 0 },
  };
}
