import * as z from "zod";
import { grantOwner } from "../../auth/identity.ts";
import { isScope } from "../../auth/scopes.ts";
import type { StoredToken } from "../../auth/tokens.ts";

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS tokens (
    hash TEXT PRIMARY KEY, id TEXT NOT NULL, name TEXT NOT NULL, scopes TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL, expires_at_ms INTEGER NOT NULL, owner TEXT, last_used_at_ms INTEGER
  ) WITHOUT ROWID;
`;

/** Columns that the table of an older version lacks. */
const LATER_COLUMNS = ["owner TEXT", "last_used_at_ms INTEGER"];

/** A last use is told to the minute: more would be a write for many a call. */
const USE_STEP_MS = 60_000;

const tokenRecord = z.object({
  hash: z.string(),
  id: z.string(),
  name: z.string(),
  scopes: z.string(),
  created_at_ms: z.number(),
  expires_at_ms: z.number(),
  // Only local mode made tokens when their makers were not kept.
  owner: z
    .string()
    .nullable()
    .transform((json) => grantOwner.parse(json === null ? { identity: "local" } : JSON.parse(json))),
  last_used_at_ms: z.number().nullable(),
});

/** One person's personal access tokens. */
export class TokenTable {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(SCHEMA);
    const known = sql.exec("SELECT name FROM pragma_table_info('tokens')").toArray();
    for (const column of LATER_COLUMNS) {
      if (known.every(({ name }) => name !== column.split(" ")[0])) sql.exec(`ALTER TABLE tokens ADD COLUMN ${column}`);
    }
  }

  add(token: StoredToken): void {
    this.#sql.exec("DELETE FROM tokens WHERE expires_at_ms < ?", token.createdAtMs);
    this.#sql.exec(
      "INSERT INTO tokens (hash, id, name, scopes, created_at_ms, expires_at_ms, owner) VALUES (?, ?, ?, ?, ?, ?, ?)",
      token.hash,
      token.id,
      token.name,
      token.scopes.join(" "),
      token.createdAtMs,
      token.expiresAtMs,
      JSON.stringify(token.owner),
    );
  }

  /** The token with that hash; expiry is for the caller to check, against its own clock. */
  find(hash: string): StoredToken | undefined {
    return this.#select("WHERE hash = ?", hash)[0];
  }

  findById(id: string): StoredToken | undefined {
    return this.#select("WHERE id = ?", id)[0];
  }

  /** The newest first. */
  list(): StoredToken[] {
    return this.#select("ORDER BY created_at_ms DESC, id");
  }

  noteUse(id: string, nowMs: number): void {
    this.#sql.exec(
      "UPDATE tokens SET last_used_at_ms = ? WHERE id = ? AND coalesce(last_used_at_ms, 0) <= ?",
      nowMs,
      id,
      nowMs - USE_STEP_MS,
    );
  }

  /** Whether there was such a token. */
  remove(id: string): boolean {
    return this.#sql.exec("DELETE FROM tokens WHERE id = ?", id).rowsWritten > 0;
  }

  usesUpstream(session: string, nowMs: number): boolean {
    const query = "SELECT 1 FROM tokens WHERE owner->>'$.session' = ? AND expires_at_ms > ?";
    return this.#sql.exec(query, session, nowMs).toArray().length > 0;
  }

  #select(which: string, ...values: readonly string[]): StoredToken[] {
    return this.#sql
      .exec(`SELECT * FROM tokens ${which}`, ...values)
      .toArray()
      .map(readToken);
  }
}

function readToken(row: unknown): StoredToken {
  const { last_used_at_ms: lastUsedAtMs, ...record } = tokenRecord.parse(row);
  return {
    id: record.id,
    hash: record.hash,
    name: record.name,
    scopes: record.scopes.split(" ").filter(isScope),
    createdAtMs: record.created_at_ms,
    expiresAtMs: record.expires_at_ms,
    owner: record.owner,
    ...(lastUsedAtMs === null ? {} : { lastUsedAtMs }),
  };
}
