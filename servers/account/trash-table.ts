import * as z from "zod";

/** A version of a file that was deleted or replaced. */
export interface TrashRow {
  readonly id: string;
  readonly path: string;
  readonly sizeBytes: number;
  readonly reason: "deleted" | "replaced";
  readonly atMs: number;
}

export interface TrashQuery {
  /** A file, or a folder with all that it holds. */
  readonly below?: string;
  /** Only what each file was when it was deleted last, and nothing of those that were replaced since. */
  readonly isLast?: boolean;
  readonly limit: number;
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS trash (
    id TEXT PRIMARY KEY, path TEXT NOT NULL, size_bytes INTEGER NOT NULL, reason TEXT NOT NULL, at_ms INTEGER NOT NULL
  );
  CREATE INDEX IF NOT EXISTS trash_by_time ON trash (at_ms);
  CREATE INDEX IF NOT EXISTS trash_by_path ON trash (path, at_ms);
`;

const record = z
  .object({
    id: z.string(),
    path: z.string(),
    size_bytes: z.number(),
    reason: z.enum(["deleted", "replaced"]),
    at_ms: z.number(),
  })
  .transform(({ id, path, size_bytes: sizeBytes, reason, at_ms: atMs }): TrashRow => ({
    id,
    path,
    sizeBytes,
    reason,
    atMs,
  }));

const NEWEST = "ORDER BY at_ms DESC, rowid DESC LIMIT ?";
const IS_LAST = `reason = 'deleted' AND NOT EXISTS (
  SELECT 1 FROM trash AS later
  WHERE later.path = trash.path AND (later.at_ms, later.rowid) > (trash.at_ms, trash.rowid)
)`;

/** What is in one person's trash. The bytes are in R2, with the same facts in their metadata. */
export class TrashTable {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(SCHEMA);
  }

  /** Newest first. */
  list({ below, isLast = false, limit }: TrashQuery): TrashRow[] {
    const which = isLast ? IS_LAST : "true";
    if (below === undefined) return this.#rows(`SELECT * FROM trash WHERE ${which} ${NEWEST}`, limit);
    // "0" comes right after "/".
    const within = [below, `${below}/`, `${below}0`];
    const isWithin = "(path = ? OR (path > ? AND path < ?))";
    return this.#rows(`SELECT * FROM trash WHERE ${isWithin} AND ${which} ${NEWEST}`, ...within, limit);
  }

  find(what: { readonly id: string } | { readonly path: string }): TrashRow | undefined {
    const [row] =
      "id" in what
        ? this.#rows("SELECT * FROM trash WHERE id = ?", what.id)
        : this.#rows(`SELECT * FROM trash WHERE path = ? ${NEWEST}`, what.path, 1);
    return row;
  }

  /** Those that were in the trash at that time, oldest first. */
  since(untilMs: number, limit: number): TrashRow[] {
    return this.#rows("SELECT * FROM trash WHERE at_ms <= ? ORDER BY at_ms LIMIT ?", untilMs, limit);
  }

  oldestMs(): number | undefined {
    return this.since(Number.MAX_SAFE_INTEGER, 1)[0]?.atMs;
  }

  add({ id, path, sizeBytes, reason, atMs }: TrashRow): void {
    this.#sql.exec("INSERT OR IGNORE INTO trash VALUES (?, ?, ?, ?, ?)", id, path, sizeBytes, reason, atMs);
  }

  /** How many bytes those were. */
  remove(ids: readonly string[]): number {
    const removed = this.#rows(
      "DELETE FROM trash WHERE id IN (SELECT value FROM json_each(?)) RETURNING *",
      JSON.stringify(ids),
    );
    return removed.reduce((sum, row) => sum + row.sizeBytes, 0);
  }

  /** Makes the rows after `after`, up to and with `upTo`, what R2 has there. */
  match(rows: readonly TrashRow[], after: string, upTo: string | undefined): void {
    const known = JSON.stringify(rows.map(({ id }) => id));
    const others = "id NOT IN (SELECT value FROM json_each(?))";
    if (upTo === undefined) this.#sql.exec(`DELETE FROM trash WHERE id > ? AND ${others}`, after, known);
    else this.#sql.exec(`DELETE FROM trash WHERE id > ? AND id <= ? AND ${others}`, after, upTo, known);
    for (const row of rows) this.add(row);
  }

  #rows(query: string, ...bindings: readonly (string | number)[]): TrashRow[] {
    const rows = this.#sql.exec(query, ...bindings).toArray();
    return rows.map((row) => record.parse(row));
  }
}
