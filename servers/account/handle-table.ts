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

/** Whoever makes up names is no reason to keep them all. */
const MAX_HANDLES = 200;

const NOTE_USE = `
  INSERT INTO handles VALUES (?1, ?2, ?3, ?3)
  ON CONFLICT DO UPDATE SET
    first_used_ms = min(first_used_ms, excluded.first_used_ms), last_used_ms = max(last_used_ms, excluded.last_used_ms)`;
const FORGET_OLDEST = `
  DELETE FROM handles WHERE (kind, name) IN
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

  noteUse({ kind, name }: UsedHandle, atMs: number): void {
    this.#sql.exec(NOTE_USE, kind, name, atMs);
    this.#sql.exec(FORGET_OLDEST);
  }

  /** Those used last come first. */
  list(): Handle[] {
    const rows = this.#sql.exec("SELECT * FROM handles ORDER BY last_used_ms DESC, kind, name").toArray();
    return rows.map((row) => handleRecord.parse(row));
  }
}
