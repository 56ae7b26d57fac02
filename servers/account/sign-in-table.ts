import * as z from "zod";
import { isScope } from "../../auth/scopes.ts";
import type { StoredToken } from "../../auth/tokens.ts";

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS tokens (
    hash TEXT PRIMARY KEY, id TEXT NOT NULL, name TEXT NOT NULL, scopes TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL, expires_at_ms INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS attempts (
    name TEXT PRIMARY KEY, count INTEGER NOT NULL, retry_at_ms INTEGER NOT NULL
  ) WITHOUT ROWID;
`;

const tokenRecord = z.object({
  hash: z.string(),
  id: z.string(),
  name: z.string(),
  scopes: z.string(),
  created_at_ms: z.number(),
  expires_at_ms: z.number(),
});

const attemptRecord = z.object({ count: z.number(), retry_at_ms: z.number() });

/** One of so many attempts at something that can be guessed. */
export interface Attempt {
  readonly name: string;
  readonly limit: number;
  readonly windowMs: number;
  readonly nowMs: number;
}

/** One person's personal access tokens, and who has tried to guess something. */
export class SignInTable {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(SCHEMA);
  }

  addToken(token: StoredToken): void {
    this.#sql.exec("DELETE FROM tokens WHERE expires_at_ms < ?", token.createdAtMs);
    this.#sql.exec(
      "INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?)",
      token.hash,
      token.id,
      token.name,
      token.scopes.join(" "),
      token.createdAtMs,
      token.expiresAtMs,
    );
  }

  /** The token with that hash; expiry is for the caller to check, against its own clock. */
  findToken(hash: string): StoredToken | undefined {
    return this.#find("hash", hash);
  }

  findTokenById(id: string): StoredToken | undefined {
    return this.#find("id", id);
  }

  #find(column: "hash" | "id", value: string): StoredToken | undefined {
    const [row] = this.#sql.exec(`SELECT * FROM tokens WHERE ${column} = ?`, value).toArray();
    if (row === undefined) return undefined;
    const record = tokenRecord.parse(row);
    return {
      id: record.id,
      hash: record.hash,
      name: record.name,
      scopes: record.scopes.split(" ").filter(isScope),
      createdAtMs: record.created_at_ms,
      expiresAtMs: record.expires_at_ms,
    };
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
