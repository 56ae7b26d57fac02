import * as z from "zod";
import { inParts } from "../shared/in-parts.ts";
import {
  ADD_FIGURES,
  FIGURE_COLUMNS,
  FIGURE_SCHEMA,
  FIGURES_FROM_JSON,
  type Figures,
  readFigures,
  SUM_FIGURES,
} from "./figures.ts";

export type UsageDimension = "day" | "server" | "tool" | "model" | "client";

/** Days are UTC's, `YYYY-MM-DD`, and both are part of the range. */
export interface UsageQuery {
  readonly fromDay: string;
  readonly toDay: string;
  readonly by: UsageDimension;
}

export interface UsageRow extends Figures {
  /** A day, or the name of a server, tool, model or client. What has no model is in no row by model. */
  readonly key: string;
}

/** What is added up together. `model` is empty for all but model calls. */
export interface UsageKey {
  readonly day: string;
  readonly server: string;
  /** A tool, a method, or with a slash in it what a session costs (`sandbox/time`, `delegate/model`). */
  readonly tool: string;
  readonly model: string;
  /** Empty where no client is known. */
  readonly clientId: string;
}

export type UsageDelta = UsageKey & Figures;

export const USAGE_KEY_SCHEMA = `
  day TEXT NOT NULL, server TEXT NOT NULL, tool TEXT NOT NULL, model TEXT NOT NULL, client_id TEXT NOT NULL`;
export const USAGE_KEY = "day, server, tool, model, client_id";
export const USAGE_KEY_FROM_JSON =
  "value->>'$.day', value->>'$.server', value->>'$.tool', value->>'$.model', value->>'$.clientId'";

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS usage (${USAGE_KEY_SCHEMA}, ${FIGURE_SCHEMA}, PRIMARY KEY (${USAGE_KEY})) WITHOUT ROWID;
`;

const ADD = `
  INSERT INTO usage (${USAGE_KEY}, ${FIGURE_COLUMNS})
  SELECT ${USAGE_KEY_FROM_JSON}, ${FIGURES_FROM_JSON} FROM json_each(?) WHERE true
  ON CONFLICT DO UPDATE SET ${ADD_FIGURES}`;

const KEY_COLUMNS: Readonly<Record<UsageDimension, string>> = {
  day: "day",
  server: "server",
  tool: "tool",
  model: "model",
  client: "client_id",
};

const keyRecord = z.object({ key: z.string() });
const lastDayRecord = z.object({ client_id: z.string(), day: z.string() });

/** What one person's calls and sessions come to, by day, server, tool, model and client. */
export class UsageTable {
  readonly #sql: SqlStorage;
  /** Whether the account had no such table before now. */
  readonly isNew: boolean;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    this.isNew = sql.exec("SELECT 1 FROM pragma_table_info('usage')").toArray().length === 0;
    sql.exec(SCHEMA);
  }

  add(deltas: readonly UsageDelta[]): void {
    for (const part of inParts(deltas)) this.#sql.exec(ADD, JSON.stringify(part));
  }

  /** By key. */
  query({ fromDay, toDay, by }: UsageQuery): UsageRow[] {
    const key = KEY_COLUMNS[by];
    const rows = this.#sql
      .exec(
        `SELECT ${key} AS key, ${SUM_FIGURES} FROM usage WHERE day BETWEEN ? AND ? AND ${key} <> '' GROUP BY ${key}`,
        fromDay,
        toDay,
      )
      .toArray();
    return rows.map((row) => ({ key: keyRecord.parse(row).key, ...readFigures(row) }));
  }

  /** The last day of each client. */
  lastDays(): Record<string, string> {
    const query = "SELECT client_id, max(day) AS day FROM usage WHERE client_id <> '' GROUP BY client_id";
    const rows = this.#sql.exec(query).toArray();
    return Object.fromEntries(
      rows.map((row) => {
        const { client_id: clientId, day } = lastDayRecord.parse(row);
        return [clientId, day];
      }),
    );
  }
}
