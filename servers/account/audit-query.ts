import * as z from "zod";
import type { AuditRow } from "./book-table.ts";

/** Which calls are asked for: those for which all that is given holds. */
export interface AuditFilter {
  /** A tool or method by its whole name, or with `_` or `/` at its end all whose names begin so. */
  readonly tool?: string;
  readonly clientId?: string;
  /** `ok`, `failed` for all else, or an error's code. */
  readonly outcome?: string;
  /** The calls that this delegated run made. */
  readonly runId?: string;
  /** Part of a tool, client or outcome, or the beginning of an id or a digest. */
  readonly text?: string;
  /** The first moment of the range, and the first after it. */
  readonly fromMs?: number;
  readonly toMs?: number;
}

export interface AuditQuery extends AuditFilter {
  /** Where an earlier page ended. One that is none begins at the newest. */
  readonly cursor?: string;
  readonly limit: number;
}

export interface AuditEntry extends AuditRow {
  readonly nanoUsd: number;
}

export interface AuditPage {
  /** The newest first. */
  readonly rows: readonly AuditEntry[];
  /** Absent where nothing is left. */
  readonly cursor?: string;
  /** How far back it was looked, where there may be more before that. */
  readonly searchedBackToMs?: number;
}

/** What one query looks through at most: a few dozen milliseconds. */
const MAX_SCANNED = 50_000;

const COLUMNS = `id, at_ms, client_id, tool, outcome, duration_ms, input_digest, output_bytes, parent_run_id,
  coalesce((SELECT nano_usd FROM costs WHERE call_id = audit.id), 0) AS nano_usd`;
const NEWEST_FIRST = "ORDER BY at_ms DESC, id DESC";

const entryRecord = z
  .object({
    id: z.string(),
    at_ms: z.number(),
    client_id: z.string(),
    tool: z.string(),
    outcome: z.string(),
    duration_ms: z.number(),
    input_digest: z.string(),
    output_bytes: z.number(),
    parent_run_id: z.string().nullable(),
    nano_usd: z.number(),
  })
  .transform((row): AuditEntry => ({
    id: row.id,
    atMs: row.at_ms,
    clientId: row.client_id,
    tool: row.tool,
    outcome: row.outcome,
    durationMs: row.duration_ms,
    inputDigest: row.input_digest,
    outputBytes: row.output_bytes,
    ...(row.parent_run_id === null ? {} : { parentRunId: row.parent_run_id }),
    nanoUsd: row.nano_usd,
  }));

const placeRecord = z
  .object({ at_ms: z.number(), id: z.string() })
  .transform(({ at_ms: atMs, id }): Place => ({ atMs, id }));

/** A row's place in the order of time. */
interface Place {
  readonly atMs: number;
  readonly id: string;
}

interface Condition {
  readonly sql: string;
  readonly values: readonly (string | number)[];
}

/** Finds calls, the newest first. What no index answers it looks for in so many rows at most, and says how far it got. */
export function queryAudit(sql: SqlStorage, query: AuditQuery): AuditPage {
  const range = rangeOf(query);
  const wanted = filterOf(query);
  const floor = wanted.length === 0 || query.runId !== undefined ? undefined : placeAfter(sql, range, MAX_SCANNED);
  const bounded =
    floor === undefined ? range : [...range, { sql: "(at_ms, id) >= (?, ?)", values: [floor.atMs, floor.id] }];
  const { sql: where, values } = all([...bounded, ...wanted]);
  const found = sql.exec(`SELECT ${COLUMNS} FROM audit WHERE ${where} ${NEWEST_FIRST} LIMIT ?`, ...values, query.limit);
  const rows = found.toArray().map((row) => entryRecord.parse(row));
  const last = rows.at(-1);
  if (last !== undefined && rows.length === query.limit) return { rows, cursor: cursorAt(last) };
  return floor === undefined ? { rows } : { rows, cursor: cursorAt(floor), searchedBackToMs: floor.atMs };
}

/** Of what is in the range, the last of the first `count` rows, where there are more. */
function placeAfter(sql: SqlStorage, range: readonly Condition[], count: number): Place | undefined {
  const { sql: where, values } = all(range);
  const query = `SELECT at_ms, id FROM audit WHERE ${where} ${NEWEST_FIRST} LIMIT 2 OFFSET ?`;
  const [last, next] = sql.exec(query, ...values, count - 1).toArray();
  return next === undefined ? undefined : placeRecord.parse(last);
}

function rangeOf({ fromMs, toMs, cursor }: AuditQuery): Condition[] {
  const conditions: Condition[] = [];
  if (fromMs !== undefined) conditions.push({ sql: "at_ms >= ?", values: [fromMs] });
  if (toMs !== undefined) conditions.push({ sql: "at_ms < ?", values: [toMs] });
  const place = cursor === undefined ? undefined : placeOf(cursor);
  if (place !== undefined) conditions.push({ sql: "(at_ms, id) < (?, ?)", values: [place.atMs, place.id] });
  return conditions;
}

function filterOf({ tool, clientId, outcome, runId, text }: AuditFilter): Condition[] {
  const conditions: Condition[] = [];
  if (tool !== undefined) conditions.push(toolCondition(tool));
  if (clientId !== undefined) conditions.push({ sql: "client_id = ?", values: [clientId] });
  if (outcome === "failed") conditions.push({ sql: "outcome <> 'ok'", values: [] });
  else if (outcome !== undefined) conditions.push({ sql: "outcome = ?", values: [outcome] });
  if (runId !== undefined) conditions.push({ sql: "parent_run_id = ?", values: [runId] });
  if (text !== undefined) conditions.push(textCondition(text.toLowerCase()));
  return conditions;
}

function toolCondition(tool: string): Condition {
  if (!/[_/]$/.test(tool)) return { sql: "tool = ?", values: [tool] };
  return { sql: "substr(tool, 1, ?) = ?", values: [tool.length, tool] };
}

function textCondition(text: string): Condition {
  const { length } = text;
  const contains = ["tool", "client_id", "outcome"].map((column) => `instr(lower(${column}), ?) > 0`);
  const begins = ["id", "input_digest"].map((column) => `substr(${column}, 1, ?) = ?`);
  return { sql: `(${[...contains, ...begins].join(" OR ")})`, values: [text, text, text, length, text, length, text] };
}

function all(conditions: readonly Condition[]): Condition {
  return {
    sql: ["true", ...conditions.map(({ sql }) => sql)].join(" AND "),
    values: conditions.flatMap(({ values }) => values),
  };
}

function cursorAt({ atMs, id }: Place): string {
  return `${atMs}.${id}`;
}

function placeOf(cursor: string): Place | undefined {
  const [, atMs, id] = /^(\d{1,15})\.([\w/-]{1,200})$/.exec(cursor) ?? [];
  return atMs === undefined || id === undefined ? undefined : { atMs: Number(atMs), id };
}
