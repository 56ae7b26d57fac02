import * as z from "zod";
import {
  ADD_FIGURES,
  FIGURE_COLUMNS,
  FIGURE_SCHEMA,
  FIGURES_FROM_JSON,
  readFigures,
  SUM_FIGURES,
} from "../account/figures.ts";
import type { UsageDelta, UsageDimension, UsageQuery, UsageRow } from "../account/usage-table.ts";

export interface EverybodysQuery extends Omit<UsageQuery, "by"> {
  readonly by: UsageDimension | "person";
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS person_day (
    user_id TEXT NOT NULL, day TEXT NOT NULL, ${FIGURE_SCHEMA}, PRIMARY KEY (user_id, day)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS dimension_day (
    dimension TEXT NOT NULL, day TEXT NOT NULL, key TEXT NOT NULL, ${FIGURE_SCHEMA}, PRIMARY KEY (dimension, day, key)
  ) WITHOUT ROWID;
`;

const ADD_OF_PERSON = `
  INSERT INTO person_day (user_id, day, ${FIGURE_COLUMNS})
  SELECT ?1, value->>'$.day', ${FIGURES_FROM_JSON} FROM json_each(?2) WHERE true
  ON CONFLICT DO UPDATE SET ${ADD_FIGURES}`;

const ADD_OF_DIMENSION = `
  INSERT INTO dimension_day (dimension, day, key, ${FIGURE_COLUMNS})
  SELECT ?1, value->>'$.day', value->>?2, ${FIGURES_FROM_JSON} FROM json_each(?3) WHERE value->>?2 <> ''
  ON CONFLICT DO UPDATE SET ${ADD_FIGURES}`;

/** Where a delta has the key of each dimension. */
const DIMENSIONS: Readonly<Record<UsageDimension, string>> = {
  day: "$.day",
  server: "$.server",
  tool: "$.tool",
  model: "$.model",
  client: "$.clientId",
};

const keyRecord = z.object({ key: z.string() });

/** What everybody's calls and sessions come to, by day and person, and by day and each of the other dimensions. */
export class RollupTable {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(SCHEMA);
  }

  add(userId: string, deltas: readonly UsageDelta[]): void {
    const all = JSON.stringify(deltas);
    this.#sql.exec(ADD_OF_PERSON, userId, all);
    for (const [dimension, path] of Object.entries(DIMENSIONS)) this.#sql.exec(ADD_OF_DIMENSION, dimension, path, all);
  }

  /** Days in their order, all else by what it cost, the dearest first. */
  query({ fromDay, toDay, by }: EverybodysQuery, limit: number): UsageRow[] {
    const from =
      by === "person"
        ? "SELECT user_id AS key, * FROM person_day WHERE day BETWEEN ?1 AND ?2"
        : "SELECT * FROM dimension_day WHERE day BETWEEN ?1 AND ?2 AND dimension = ?4";
    const order = by === "day" ? "key" : "nano_usd + estimated_nano_usd DESC, calls DESC, key";
    const query = `SELECT * FROM (SELECT key, ${SUM_FIGURES} FROM (${from}) GROUP BY key) ORDER BY ${order} LIMIT ?3`;
    const values = by === "person" ? [fromDay, toDay, limit] : [fromDay, toDay, limit, by];
    return this.#sql
      .exec(query, ...values)
      .toArray()
      .map((row) => ({ key: keyRecord.parse(row).key, ...readFigures(row) }));
  }
}
