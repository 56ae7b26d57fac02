import * as z from "zod";

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS attempts (
    name TEXT PRIMARY KEY, count INTEGER NOT NULL, retry_at_ms INTEGER NOT NULL
  ) WITHOUT ROWID;
`;

const attemptRecord = z.object({ count: z.number(), retry_at_ms: z.number() });

/** One of so many attempts at something that can be guessed. */
export interface Attempt {
  readonly name: string;
  readonly limit: number;
  readonly windowMs: number;
  readonly nowMs: number;
}

/** Who has tried to guess something of one person's. */
export class SignInTable {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(SCHEMA);
  }

  /**
   * Takes one of `limit` attempts at something that can be guessed, in one step: parallel guesses cannot share one.
   * Once they are used up there are none until `windowMs` after the last.
   */
  takeAttempt({ name, limit, windowMs, nowMs }: Attempt): { isAllowed: boolean; retryAtMs: number } {
    this.#sql.exec("DELETE FROM attempts WHERE retry_at_ms <= ?", nowMs);
    const [row] = this.#sql.exec("SELECT * FROM attempts WHERE name = ?", name).toArray();
    const taken = row === undefined ? { count: 0, retry_at_ms: nowMs } : attemptRecord.parse(row);
    if (taken.count >= limit) return { isAllowed: false, retryAtMs: taken.retry_at_ms };
    const retryAtMs = nowMs + windowMs;
    this.#sql.exec("INSERT OR REPLACE INTO attempts VALUES (?, ?, ?)", name, taken.count + 1, retryAtMs);
    return { isAllowed: true, retryAtMs };
  }

  clearAttempts(name: string): void {
    this.#sql.exec("DELETE FROM attempts WHERE name = ?", name);
  }
}
