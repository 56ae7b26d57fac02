import * as z from "zod";
import type { StoredSession } from "../../auth/account-session.ts";
import { grantOwner } from "../../auth/identity.ts";

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS attempts (
    name TEXT PRIMARY KEY, count INTEGER NOT NULL, retry_at_ms INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS sessions (
    hash TEXT PRIMARY KEY, display_name TEXT NOT NULL, owner TEXT NOT NULL, expires_at_ms INTEGER NOT NULL
  ) WITHOUT ROWID;
`;

const sessionRecord = z.object({
  hash: z.string(),
  display_name: z.string(),
  owner: z.string().transform((json) => grantOwner.parse(JSON.parse(json))),
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

/** Where one person is signed in to their own pages, and who has tried to guess something of theirs. */
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

  addSession({ hash, displayName, owner, expiresAtMs }: StoredSession, nowMs: number): void {
    this.#sql.exec("DELETE FROM sessions WHERE expires_at_ms <= ?", nowMs);
    this.#sql.exec("INSERT INTO sessions VALUES (?, ?, ?, ?)", hash, displayName, JSON.stringify(owner), expiresAtMs);
  }

  /** The session with that hash; expiry is for the caller to check, against its own clock. */
  findSession(hash: string): StoredSession | undefined {
    const [row] = this.#sql.exec("SELECT * FROM sessions WHERE hash = ?", hash).toArray();
    return row && readSession(row);
  }

  listSessions(): StoredSession[] {
    return this.#sql.exec("SELECT * FROM sessions").toArray().map(readSession);
  }

  /** The one with that hash, or all; returns those that there were. */
  endSessions(hash?: string): StoredSession[] {
    const query = "DELETE FROM sessions WHERE ?1 IS NULL OR hash = ?1 RETURNING *";
    return this.#sql
      .exec(query, hash ?? null)
      .toArray()
      .map(readSession);
  }

  usesUpstream(session: string, nowMs: number): boolean {
    const query = "SELECT 1 FROM sessions WHERE owner->>'$.session' = ? AND expires_at_ms > ?";
    return this.#sql.exec(query, session, nowMs).toArray().length > 0;
  }
}

function readSession(row: unknown): StoredSession {
  const { hash, display_name: displayName, owner, expires_at_ms: expiresAtMs } = sessionRecord.parse(row);
  return { hash, displayName, owner, expiresAtMs };
}
