import * as z from "zod";
import { dayOf } from "./figures.ts";
import { modelCall } from "./book-table.ts";

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS model_calls (
    id TEXT PRIMARY KEY, day TEXT NOT NULL, tokens INTEGER NOT NULL, nano_usd INTEGER NOT NULL,
    is_open INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS model_calls_by_day ON model_calls (day);
`;

const USED = `
  SELECT coalesce(sum(tokens), 0) AS tokens, coalesce(sum(nano_usd), 0) AS nano_usd,
    coalesce(sum(tokens * is_open), 0) AS open_tokens, coalesce(sum(nano_usd * is_open), 0) AS open_nano_usd
  FROM model_calls WHERE day = ? AND id <> ?`;

const TAKE_OPEN = "DELETE FROM model_calls WHERE id = ? AND is_open = 1 RETURNING day";

/** A day's sum is the row that has the day for its id, which no call has. */
const ADD = `
  INSERT INTO model_calls VALUES (?, ?, ?, ?, 0)
  ON CONFLICT (id) DO UPDATE SET tokens = tokens + excluded.tokens, nano_usd = nano_usd + excluded.nano_usd`;

const total = z.object({
  tokens: z.number(),
  nano_usd: z.number(),
  open_tokens: z.number(),
  open_nano_usd: z.number(),
});

/** What model calls come to. */
export interface ModelSpend {
  readonly tokens: number;
  /** Billionths of a US dollar; 0 for what is not known to cost anything. */
  readonly nanoUsd: number;
}

/** What a model call has come to, and whose it was; without that, nothing was used. */
export const settledModelCall = z.object({
  tokens: z.number(),
  nanoUsd: z.number(),
  of: modelCall.exactOptional(),
});

export type SettledModelCall = Readonly<z.output<typeof settledModelCall>>;

export interface ToldModelCall extends SettledModelCall {
  readonly callId: string;
}

/** Whether a call was let into its person's day, and what is left of that without it. */
export interface DayAnswer {
  readonly isAdmitted: boolean;
  readonly left: ModelSpend;
  /** If the calls under way turn out to use nothing. */
  readonly leftAtBest: ModelSpend;
}

/**
 * What one person's sub-agents and sandboxes use of models: the reservation of each call before it is sent, and the sum
 * of what the others of its day really used, so that a day's room is not found by reading all of its calls. Days are
 * UTC's, and yesterday's rows are forgotten: what calls cost is in the books.
 */
export class ModelSpendTable {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(SCHEMA);
  }

  /** What is left of the day's limit for that call: now, with what calls under way can use at most, and if those used nothing. */
  left(id: string, limit: ModelSpend, nowMs: number): { readonly now: ModelSpend; readonly atBest: ModelSpend } {
    const used = total.parse(this.#sql.exec(USED, dayOf(nowMs), id).one());
    const now = { tokens: limit.tokens - used.tokens, nanoUsd: limit.nanoUsd - used.nano_usd };
    return {
      now,
      atBest: { tokens: now.tokens + used.open_tokens, nanoUsd: now.nanoUsd + used.open_nano_usd },
    };
  }

  reserve(id: string, { tokens, nanoUsd }: ModelSpend, nowMs: number): void {
    this.#sql.exec("DELETE FROM model_calls WHERE day < ?", dayOf(nowMs));
    this.#sql.exec("INSERT OR REPLACE INTO model_calls VALUES (?, ?, ?, ?, 1)", id, dayOf(nowMs), tokens, nanoUsd);
  }

  /** Puts what a call used in its reservation's place, once. It counts for the day on which it was sent. */
  settle(id: string, { tokens, nanoUsd }: ModelSpend): void {
    for (const { day } of this.#sql.exec(TAKE_OPEN, id).toArray()) this.#sql.exec(ADD, day, day, tokens, nanoUsd);
  }
}
