import * as z from "zod";

/** A link as its person's account keeps it: all but the URL, which nobody can make of it. */
export interface StoredLink {
  readonly id: string;
  readonly purpose: "download" | "upload";
  readonly path: string;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  /** How many files have come in by it. */
  readonly filesIn: number;
}

/** A person's links that work at one time. */
export const MAX_LINKS = 1_000;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS share_links (
    id TEXT PRIMARY KEY, purpose TEXT NOT NULL, path TEXT NOT NULL, created_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL, files_in INTEGER NOT NULL
  ) WITHOUT ROWID`;

const linkRecord = z
  .object({
    id: z.string(),
    purpose: z.enum(["download", "upload"]),
    path: z.string(),
    created_at_ms: z.number(),
    expires_at_ms: z.number(),
    files_in: z.number(),
  })
  .transform((row): StoredLink => ({
    id: row.id,
    purpose: row.purpose,
    path: row.path,
    createdAtMs: row.created_at_ms,
    expiresAtMs: row.expires_at_ms,
    filesIn: row.files_in,
  }));

/** The links of one person. A link without a row is dead: revoking one is forgetting it. */
export class LinkRows {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    this.#sql.exec(SCHEMA);
  }

  /** Whether there was room for it. Links that had expired when it was made go. */
  add({ id, purpose, path, createdAtMs, expiresAtMs, filesIn }: StoredLink): boolean {
    this.#sql.exec("DELETE FROM share_links WHERE expires_at_ms <= ?", createdAtMs);
    const { count } = this.#sql.exec("SELECT count(*) AS count FROM share_links").one();
    if (Number(count) >= MAX_LINKS) return false;
    this.#sql.exec(
      "INSERT INTO share_links VALUES (?, ?, ?, ?, ?, ?)",
      ...[id, purpose, path, createdAtMs, expiresAtMs, filesIn],
    );
    return true;
  }

  /** Expiry is for the caller to check, against its own clock. */
  find(id: string): StoredLink | undefined {
    const [row] = this.#sql.exec("SELECT * FROM share_links WHERE id = ?", id).toArray();
    return row === undefined ? undefined : linkRecord.parse(row);
  }

  /** Newest first. */
  list(): StoredLink[] {
    const rows = this.#sql.exec("SELECT * FROM share_links ORDER BY created_at_ms DESC, id").toArray();
    return rows.map((row) => linkRecord.parse(row));
  }

  /** What it was, or nothing where there was none. */
  remove(id: string): StoredLink | undefined {
    const link = this.find(id);
    this.#sql.exec("DELETE FROM share_links WHERE id = ?", id);
    return link;
  }

  countFile(id: string): void {
    this.#sql.exec("UPDATE share_links SET files_in = files_in + 1 WHERE id = ?", id);
  }
}
