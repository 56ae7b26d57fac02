import * as z from "zod";
import { type AuditRow, auditRecord, rowOf } from "./book-table.ts";

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

/** What one query looks through, one after the other: little where it soon finds enough, and never more than all. */
const SCANNED = [2_000, 18_000];

const CALL_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const COLUMNS = `id, at_ms, client_id, tool, outcome, duration_ms, input_digest, output_bytes, parent_run_id,
  coalesce((SELECT nano_usd FROM costs WHERE call_id = audit.id), 0) AS nano_usd`;
const NEWEST_FIRST = "ORDER BY at_ms DESC, id DESC";

const entryRecord = auditRecord
  .extend({ nano_usd: z.number() })
  .transform(({ nano_usd: nanoUsd, ...record }): AuditEntry => ({ ...rowOf(record), nanoUsd }));

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
  const { limit } = query;
  const wanted = filterOf(query);
  let place = placeOf(query.cursor ?? "");
  if (wanted.length === 0 || isIndexed(query))
    return pageOf(find(sql, query, [...rangeOf(query, place), ...wanted], limit), limit);
  const rows: AuditEntry[] = [];
  for (const count of SCANNED) {
    const range = rangeOf(query, place);
    const floor = placeAfter(sql, range, count);
    const bounds = floor === undefined ? [] : [{ sql: "(at_ms, id) >= (?, ?)", values: [floor.atMs, floor.id] }];
    rows.push(...find(sql, query, [...range, ...bounds, ...wanted], limit - rows.length));
    if (floor === undefined || rows.length === limit) return pageOf(rows, limit);
    place = floor;
  }
  return place === undefined ? { rows } : { rows, cursor: cursorAt(place), searchedBackToMs: place.atMs };
}

/** The calls of a run have an index, and one call is found by its cost row. */
function isIndexed({ runId, text }: AuditFilter): boolean {
  return runId !== undefined || (text !== undefined && CALL_ID.test(text));
}

function find(sql: SqlStorage, { runId }: AuditFilter, conditions: readonly Condition[], limit: number): AuditEntry[] {
  const { sql: where, values } = all(conditions);
  const from = runId === undefined ? "audit" : "audit INDEXED BY audit_by_run";
  const query = `SELECT ${COLUMNS} FROM ${from} WHERE ${where} ${NEWEST_FIRST} LIMIT ?`;
  return sql
    .exec(query, ...values, limit)
    .toArray()
    .map((row) => entryRecord.parse(row));
}

function pageOf(rows: readonly AuditEntry[], limit: number): AuditPage {
  const last = rows.at(-1);
  return last === undefined || rows.length < limit ? { rows } : { rows, cursor: cursorAt(last) };
}

/** Of what is in the range, the last of the first `count` rows, where there are more. */
function placeAfter(sql: SqlStorage, range: readonly Condition[], count: number): Place | undefined {
  const { sql: where, values } = all(range);
  const query = `SELECT at_ms, id FROM audit WHERE ${where} ${NEWEST_FIRST} LIMIT 2 OFFSET ?`;
  const [last, next] = sql.exec(query, ...values, count - 1).toArray();
  return next === undefined ? undefined : placeRecord.parse(last);
}

function rangeOf({ fromMs, toMs }: AuditFilter, place: Place | undefined): Condition[] {
  const conditions: Condition[] = [];
  if (fromMs !== undefined) conditions.push({ sql: "at_ms >= ?", values: [fromMs] });
  if (toMs !== undefined) conditions.push({ sql: "at_ms < ?", values: [toMs] });
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
  if (CALL_ID.test(text)) {
    return { sql: "(at_ms, id) = (SELECT at_ms, call_id FROM costs WHERE call_id = ?)", values: [text] };
  }
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
