import { sha256Hex } from "../../auth/secrets.ts";
import type { Act } from "../../auth/acts.ts";
import type { AuditRow, BooksEntry } from "./book-table.ts";

const PREFIX = "act/";

/** An act as an entry of the books. */
export async function entryOfAct({ name, by, what, atMs, outcome = "ok", durationMs = 0 }: Act): Promise<BooksEntry> {
  const id = `${PREFIX}${crypto.randomUUID()}`;
  const inputDigest = await sha256Hex(JSON.stringify(what));
  return {
    audit: { id, atMs, clientId: by, tool: name, outcome, durationMs, inputDigest, outputBytes: 0 },
    cost: { callId: id, atMs, nanoUsd: 0 },
  };
}

/** An act is in the audit, and nowhere counted as a call. */
export function isAct({ id }: Pick<AuditRow, "id">): boolean {
  return id.startsWith(PREFIX);
}
