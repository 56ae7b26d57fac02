import * as z from "zod";

/** A sandbox or browser that its person has used. */
export interface UsedHandle {
  readonly kind: "sandbox" | "browser";
  readonly name: string;
}

export interface Handle extends UsedHandle {
  readonly firstUsedMs: number;
  readonly lastUsedMs: number;
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS handles (
    kind TEXT NOT NULL, name TEXT NOT NULL, first_used_ms INTEGER NOT NULL, last_used_ms INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
  ) WITHOUT ROWID;
`;

/** No command runs for longer than a day: what has not been used since then has nothing going. */
export const MAY_BE_AT_WORK_MS = 48 * 60 * 60 * 1_000;
/** Whoever makes up names is no reason to keep them all; what may be at work is. */
const MAX_HANDLES = 200;

const NOTE_USES = `
  INSERT INTO handles
  SELECT value->>'$.kind', value->>'$.name', min(value->>'$.atMs'), max(value->>'$.atMs') FROM json_each(?) GROUP BY 1, 2
  ON CONFLICT DO UPDATE SET
    first_used_ms = min(first_used_ms, excluded.first_used_ms), last_used_ms = max(last_used_ms, excluded.last_used_ms)`;
const FORGET_OLDEST = `
  DELETE FROM handles WHERE last_used_ms < ? AND (kind, name) IN
    (SELECT kind, name FROM handles ORDER BY last_used_ms DESC, kind, name LIMIT -1 OFFSET ${MAX_HANDLES})`;

const handleRecord = z
  .object({
    kind: z.enum(["sandbox", "browser"]),
    name: z.string(),
    first_used_ms: z.number(),
    last_used_ms: z.number(),
  })
  .transform(({ kind, name, first_used_ms: firstUsedMs, last_used_ms: lastUsedMs }): Handle => ({
    kind,
    name,
    firstUsedMs,
    lastUsedMs,
  }));

/** The sandboxes and browsers that one person has used. */
export class HandleTable {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(SCHEMA);
  }

  noteUses(uses: readonly (UsedHandle & { readonly atMs: number })[]): void {
    if (uses.length === 0) return;
    this.#sql.exec(NOTE_USES, JSON.stringify(uses));
    this.#sql.exec(FORGET_OLDEST, Math.max(...uses.map(({ atMs }) => atMs)) - MAY_BE_AT_WORK_MS);
  }

  /** Those used last come first. */
  list(): Handle[] {
    const rows = this.#sql.exec("SELECT * FROM handles ORDER BY last_used_ms DESC, kind, name").toArray();
    return rows.map((row) => handleRecord.parse(row));
  }
}
