import * as z from "zod";

/** A change of somebody's files, told before it is made. */
export interface FileChange {
  /** Names the change, and the version that it puts into the trash. */
  readonly id: string;
  readonly userId: string;
  readonly path: string;
  /** By how much files and trash may grow together. */
  readonly growsBytes: number;
  /** Whether it puts a file to `path`: nobody may delete there meanwhile. */
  readonly writes: boolean;
}

/** One that is under way. */
export interface OpenChange extends Omit<FileChange, "userId"> {
  readonly beganAtMs: number;
}

/** The path of what may be any: no file has it. */
export const ANY_PATH = "";
/** A change takes no longer than this, or whoever made it is gone. */
const CHANGE_ENDS_AFTER_MS = 10 * 60_000;
/** Whoever writes more than this takes what a link's sender's line takes, and is waited for to the end. */
export const LARGE_BYTES = 1024 * 1024;
/** What was given up may still reach R2 for so long. */
const GIVEN_UP_ENDS_AFTER_MS = 30_000;
/** Whoever deletes waits for other writers while they are younger: every call ends within a minute. */
const WRITER_ENDS_AFTER_MS = 60_000;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS changes (
    id TEXT PRIMARY KEY, path TEXT NOT NULL, grows_bytes INTEGER NOT NULL, writes INTEGER NOT NULL,
    began_at_ms INTEGER NOT NULL, given_up_at_ms INTEGER
  ) WITHOUT ROWID;
`;

const changeRecord = z.object({ id: z.string(), path: z.string(), given_up_at_ms: z.number().nullable() });

const ENDS_AT_MS = `coalesce(given_up_at_ms + ${GIVEN_UP_ENDS_AFTER_MS}, began_at_ms + ${CHANGE_ENDS_AFTER_MS})`;

/** The changes under way that are on disk. */
export class ChangeTable {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(SCHEMA);
  }

  add({ id, path, growsBytes, writes, beganAtMs }: OpenChange): void {
    this.#sql.exec(
      "INSERT OR IGNORE INTO changes VALUES (?, ?, ?, ?, ?, NULL)",
      ...[id, path, growsBytes, writes ? 1 : 0, beganAtMs],
    );
  }

  /** Whether it was there. */
  remove(id: string): boolean {
    return this.#sql.exec("DELETE FROM changes WHERE id = ? RETURNING id", id).toArray().length > 0;
  }

  giveUp(id: string, nowMs: number): void {
    this.#sql.exec("UPDATE changes SET given_up_at_ms = ?, grows_bytes = 0 WHERE id = ?", nowMs, id);
  }

  /** Those of which nothing more is to be expected. */
  ended(nowMs: number, limit: number): { id: string; path: string; isGivenUp: boolean }[] {
    const rows = this.#sql
      .exec(`SELECT id, path, given_up_at_ms FROM changes WHERE ${ENDS_AT_MS} <= ? LIMIT ?`, nowMs, limit)
      .toArray();
    return rows.map((row) => {
      const { id, path, given_up_at_ms: givenUpAtMs } = changeRecord.parse(row);
      return { id, path, isGivenUp: givenUpAtMs !== null };
    });
  }

  nextEndMs(): number | undefined {
    const { at_ms: atMs } = this.#sql.exec(`SELECT min(${ENDS_AT_MS}) AS at_ms FROM changes`).one();
    return typeof atMs === "number" ? atMs : undefined;
  }

  /** How many there are, and by how much files and trash may grow with them; one is left out. */
  sum(exceptId: string): { readonly count: number; readonly growsBytes: number } {
    const sum = "count(*) AS count, coalesce(sum(grows_bytes), 0) AS grows_bytes";
    const row = this.#sql.exec(`SELECT ${sum} FROM changes WHERE id <> ?`, exceptId).one();
    return { count: Number(row["count"]), growsBytes: Number(row["grows_bytes"]) };
  }

  /** Whether one of them, but for those that are left out, may be putting a file there right now. */
  isWriting(path: string, exceptIds: readonly string[], nowMs: number): boolean {
    const rows = this.#sql.exec(
      `SELECT 1 FROM changes
       WHERE path IN (?, '${ANY_PATH}') AND writes = 1 AND id NOT IN (SELECT value FROM json_each(?))
         AND given_up_at_ms IS NULL AND (began_at_ms > ? OR (grows_bytes > ? AND path <> '${ANY_PATH}'))`,
      ...[path, JSON.stringify(exceptIds), nowMs - WRITER_ENDS_AFTER_MS, LARGE_BYTES],
    );
    return rows.toArray().length > 0;
  }
}
