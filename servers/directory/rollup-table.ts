import * as z from "zod";
import {
  ADD_FIGURES,
  FIGURE_COLUMNS,
  FIGURE_SCHEMA,
  type Figures,
  FIGURES_FROM_JSON,
  NO_FIGURES,
  readFigures,
  SUM_FIGURES,
} from "../account/figures.ts";
import type { UsageDelta, UsageDimension, UsageQuery, UsageRow } from "../account/usage-table.ts";
import { inParts } from "../shared/in-parts.ts";
import { type Dear, dearest } from "./dearest.ts";
import { daysBetween, monthOf, periodsBetween } from "./periods.ts";

export interface EverybodysQuery extends Omit<UsageQuery, "by"> {
  readonly by: UsageDimension | "person";
}

const COST = "nano_usd + estimated_nano_usd";

// A period is a day or a month: who asks for thirty days of ten thousand people reads their months where it can. People
// and clients are many: whose month was the dearest is found by an index.
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS rollup (
    dimension TEXT NOT NULL, period TEXT NOT NULL, key TEXT NOT NULL, ${FIGURE_SCHEMA},
    PRIMARY KEY (dimension, period, key)
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS rollup_by_cost ON rollup (dimension, period, ${COST} DESC, calls DESC)
    WHERE length(period) = 7 AND dimension IN ('person', 'client');
`;

const ADD = `
  INSERT INTO rollup (dimension, period, key, ${FIGURE_COLUMNS})
  SELECT value->>'$.dimension', value->>'$.period', value->>'$.key', ${FIGURES_FROM_JSON} FROM json_each(?) WHERE true
  ON CONFLICT DO UPDATE SET ${ADD_FIGURES}`;

const ORDER = `ORDER BY ${COST} DESC, calls DESC, key`;
const OF_ONE = `SELECT key, ${FIGURE_COLUMNS} FROM rollup WHERE dimension = ?1 AND period = ?2`;
/** By the index, which is of these alone. */
const INDEXED = "length(period) = 7 AND dimension IN ('person', 'client')";
const OF_MONTH = `${OF_ONE} AND ${INDEXED}`;
const DEAREST = `
  SELECT key, ${COST} AS cost FROM rollup WHERE dimension = ?1 AND period = ?2 AND ${INDEXED} ${ORDER}`;
const OF_MANY = `
  SELECT key, ${SUM_FIGURES} FROM rollup WHERE dimension = ?1 AND period IN (SELECT value FROM json_each(?2))`;
const AMONG = "key IN (SELECT value FROM json_each(?3))";

const dearRecord = z.object({ key: z.string(), cost: z.number() });
const keyRecord = z.object({ key: z.string() });

/** What everybody's calls and sessions come to, by person and by each dimension, each day and each month. */
export class RollupTable {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(SCHEMA);
  }

  add(userId: string, deltas: readonly UsageDelta[]): void {
    const rows = deltas.flatMap((delta) => rowsOf(userId, delta));
    for (const part of inParts(rows)) this.#sql.exec(ADD, JSON.stringify(part));
  }

  /**
   * Days in their order, all else by what it cost, the dearest first. Whole months are read at once, also one that is
   * not over.
   */
  query({ fromDay, toDay, by }: EverybodysQuery, limit: number): UsageRow[] {
    if (by === "day")
      return this.#rows(`${OF_MANY} GROUP BY key ORDER BY key`, by, daysBetween(fromDay, toDay)).slice(0, limit);
    const periods = periodsBetween(fromDay, toDay);
    const [only, ...others] = periods;
    if (only === undefined) return [];
    const isMany = by === "person" || by === "client";
    if (others.length === 0 && (!isMany || only === monthOf(only))) {
      return this.#rows(`${isMany ? OF_MONTH : OF_ONE} ${ORDER} LIMIT ?3`, by, only, limit);
    }
    const sumsOf = (keys?: readonly string[]): UsageRow[] =>
      keys === undefined
        ? this.#rows(`SELECT * FROM (${OF_MANY} GROUP BY key) ${ORDER}`, by, periods)
        : this.#rows(
            `SELECT * FROM (${OF_MANY} AND ${AMONG} GROUP BY key) ${ORDER}`,
            by,
            periods,
            JSON.stringify(keys),
          );
    if (!isMany) return sumsOf().slice(0, limit);
    const costOf = ({ nanoUsd, estimatedNanoUsd }: UsageRow): number => nanoUsd + estimatedNanoUsd;
    const dearestOf = (month: string, depth: number): Dear[] => this.#dearestOf(by, month, depth);
    return dearest({ limit, months: [...new Set(periods.map(monthOf))], dearestOf, sumsOf, costOf });
  }

  #dearestOf(by: string, month: string, depth: number): Dear[] {
    const rows = this.#sql.exec(`${DEAREST} LIMIT ?3`, by, month, depth).toArray();
    return rows.map((row) => dearRecord.parse(row));
  }

  /** What one person's month has come to. */
  monthOf(userId: string, month: string): Figures {
    const [row] = this.#sql.exec(`${OF_ONE} AND key = ?3`, "person", month, userId).toArray();
    return row === undefined ? NO_FIGURES : readFigures(row);
  }

  #rows(
    query: string,
    by: string,
    periods: string | readonly string[],
    ...more: readonly (string | number)[]
  ): UsageRow[] {
    const given = typeof periods === "string" ? periods : JSON.stringify(periods);
    const rows = this.#sql.exec(query, by, given, ...more).toArray();
    return rows.map((row) => ({ key: keyRecord.parse(row).key, ...readFigures(row) }));
  }
}

interface Row extends Figures {
  readonly dimension: string;
  readonly period: string;
  readonly key: string;
}

/** A row for the day and one for its month, in each dimension in which the delta is anything. */
function rowsOf(userId: string, { day, server, tool, model, clientId, ...figures }: UsageDelta): Row[] {
  const keys = { person: userId, server, tool, model, client: clientId };
  const rows = Object.entries(keys).flatMap(([dimension, key]) =>
    key === "" ? [] : [day, monthOf(day)].map((period) => ({ dimension, period, key, ...figures })),
  );
  return [...rows, { dimension: "day", period: day, key: day, ...figures }];
}
