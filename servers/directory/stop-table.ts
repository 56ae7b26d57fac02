import * as z from "zod";
import { inParts } from "../shared/in-parts.ts";

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS stops (
    user_id TEXT PRIMARY KEY, began_at_ms INTEGER NOT NULL, due_at_ms INTEGER NOT NULL, times INTEGER NOT NULL,
    failures INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS stops_by_time ON stops (due_at_ms);
`;

/**
 * What a person has going is ended once at once, and again after the times in which a call may still have begun: an
 * isolate goes by what it knew two seconds ago, and a call that is given up may take a moment to end.
 */
const AGAIN_AFTER_MS = [3_000, 12_000];
const FIRST_RETRY_MS = 2_000;
const MAX_RETRY_MS = 5 * 60_000;

const stopRecord = z
  .object({ user_id: z.string(), began_at_ms: z.number(), times: z.number(), failures: z.number() })
  .transform(({ user_id: userId, began_at_ms: beganAtMs, times, failures }): Stop => ({
    userId,
    beganAtMs,
    times,
    failures,
  }));

/** Somebody whose work is to be ended. */
export interface Stop {
  readonly userId: string;
  readonly beganAtMs: number;
  /** How often that was done. */
  readonly times: number;
  readonly failures: number;
}

/** Whose work has still to be ended after a pause; on disk, so that it is gone on with after whatever happens. */
export class StopTable {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(SCHEMA);
  }

  begin(userIds: readonly string[], nowMs: number): void {
    const query = "INSERT OR REPLACE INTO stops SELECT value, ?1, ?1, 0, 0 FROM json_each(?2)";
    for (const part of inParts(userIds)) this.#sql.exec(query, nowMs, JSON.stringify(part));
  }

  dueAtMs(): number | undefined {
    const { due } = this.#sql.exec("SELECT min(due_at_ms) AS due FROM stops").one();
    return due === null ? undefined : Number(due);
  }

  due(nowMs: number, limit: number): Stop[] {
    const query = "SELECT * FROM stops WHERE due_at_ms <= ? ORDER BY due_at_ms, user_id LIMIT ?";
    const rows = this.#sql.exec(query, nowMs, limit).toArray();
    return rows.map((row) => stopRecord.parse(row));
  }

  /** It was done; the same is done again while calls may still have begun. */
  succeed({ userId, beganAtMs, times }: Stop): void {
    const againMs = AGAIN_AFTER_MS[times];
    if (againMs === undefined)
      this.#sql.exec("DELETE FROM stops WHERE user_id = ? AND began_at_ms = ?", userId, beganAtMs);
    else this.#set({ userId, beganAtMs, times: times + 1, failures: 0 }, beganAtMs + againMs);
  }

  fail({ failures, ...stop }: Stop, nowMs: number): void {
    const waitMs = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** failures);
    this.#set({ ...stop, failures: failures + 1 }, nowMs + waitMs);
  }

  /** Unless a new pause has begun it anew meanwhile. */
  #set({ userId, beganAtMs, times, failures }: Stop, dueAtMs: number): void {
    const query = "UPDATE stops SET due_at_ms = ?, times = ?, failures = ? WHERE user_id = ? AND began_at_ms = ?";
    this.#sql.exec(query, dueAtMs, times, failures, userId, beganAtMs);
  }
}
