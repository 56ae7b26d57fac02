import * as z from "zod";
import type { BrokenCall } from "../account/outbox.ts";

/** A call that broke inside Pincer, and whose it was. */
export interface KnownError extends BrokenCall {
  readonly userId: string;
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS errors (
    reference TEXT PRIMARY KEY, at_ms INTEGER NOT NULL, tool TEXT NOT NULL, user_id TEXT NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS errors_by_time ON errors (at_ms);
`;

const MAX_ERRORS = 200;

const FORGET_OLDEST = `
  DELETE FROM errors WHERE reference IN
    (SELECT reference FROM errors ORDER BY at_ms DESC, reference DESC LIMIT -1 OFFSET ${MAX_ERRORS})`;

const errorRecord = z
  .object({ reference: z.string(), at_ms: z.number(), tool: z.string(), user_id: z.string() })
  .transform(({ reference, at_ms: atMs, tool, user_id: userId }): KnownError => ({ reference, atMs, tool, userId }));

/** The last calls that broke, by the references that their callers were told. */
export class ErrorTable {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(SCHEMA);
  }

  add(userId: string, broken: readonly BrokenCall[]): void {
    if (broken.length === 0) return;
    for (const { reference, atMs, tool } of broken) {
      this.#sql.exec("INSERT OR IGNORE INTO errors VALUES (?, ?, ?, ?)", reference, atMs, tool, userId);
    }
    this.#sql.exec(FORGET_OLDEST);
  }

  /** The newest first. */
  list(limit: number): KnownError[] {
    const rows = this.#sql.exec("SELECT * FROM errors ORDER BY at_ms DESC, reference DESC LIMIT ?", limit).toArray();
    return rows.map((row) => errorRecord.parse(row));
  }
}
