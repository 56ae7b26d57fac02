import * as z from "zod";
import type { LimitName } from "../shared/limits.ts";
import type { UsedHandle } from "./handle-table.ts";

/** One finished call, as the audit keeps it: a digest of the input, never its contents. */
export interface AuditRow {
  readonly id: string;
  readonly atMs: number;
  readonly clientId: string;
  readonly tool: string;
  /** `ok`, or the code of the error that the caller got. */
  readonly outcome: string;
  readonly durationMs: number;
  /** SHA-256 of the input's JSON, hex. */
  readonly inputDigest: string;
  readonly outputBytes: number;
  /** The delegated run that made the call, where a sub-agent did. */
  readonly parentRunId?: string;
}

/** The row as the table has it, and as it is exported. */
export type AuditRecord = Readonly<z.output<typeof auditRecord>>;

/** What one call, or a stretch of a session, cost the deployment beyond the plan, as far as it is known at its end. */
export interface CostRow {
  /** The call's id, or what names the stretch, with a slash in it. */
  readonly callId: string;
  readonly atMs: number;
  /** Billionths of a US dollar, so that sums of whole numbers stay exact. */
  readonly nanoUsd: number;
}

/** What a stretch of a session was, or what else costs something beside calls. */
export type SessionUse =
  | { readonly kind: "browser" | "sandbox"; readonly ms: number }
  /** What a person's files and trash took for a day. */
  | { readonly kind: "storage" }
  | ({ readonly kind: "model" } & ModelCall);

/** One call of a model, as far as it is known what it used. */
export const modelCall = z.object({
  model: z.string(),
  /** Who asked: the run's caller, or a sandbox. */
  clientId: z.string(),
  inputTokens: z.number(),
  outputTokens: z.number(),
  /** Whether the endpoint said what it cost; otherwise it is what the price table says, or the most that was possible. */
  isMeasured: z.boolean(),
});

export type ModelCall = Readonly<z.output<typeof modelCall>>;

export interface SessionCost extends CostRow {
  readonly use: SessionUse;
}

/** What one call leaves. */
export interface BooksEntry {
  readonly audit: AuditRow;
  readonly cost: CostRow;
  /** What it was at work in, where that is found again by a name. */
  readonly handle?: UsedHandle;
  /** The limit that refused it, where one did. */
  readonly hit?: LimitName;
  /** How long the call kept a sandbox at work, where no container's time is told. */
  readonly sandboxMs?: number;
}

// By time, so that a search reads what is side by side. Each index is one more row to write and pay for a call; the one
// there is has the calls of sub-agents alone. What finds a call by its id is its cost row.
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS audit (
    id TEXT NOT NULL, at_ms INTEGER NOT NULL, client_id TEXT NOT NULL, tool TEXT NOT NULL, outcome TEXT NOT NULL,
    duration_ms REAL NOT NULL, input_digest TEXT NOT NULL, output_bytes INTEGER NOT NULL, parent_run_id TEXT,
    PRIMARY KEY (at_ms, id)
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS audit_by_run ON audit (parent_run_id) WHERE parent_run_id IS NOT NULL;
  CREATE TABLE IF NOT EXISTS costs (
    call_id TEXT PRIMARY KEY, at_ms INTEGER NOT NULL, nano_usd INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS books (id INTEGER PRIMARY KEY CHECK (id = 1), user_id TEXT NOT NULL);
`;

/** From the table of an older version, whose key was the id. */
const TAKE_OVER = `
  INSERT INTO audit (id, at_ms, client_id, tool, outcome, duration_ms, input_digest, output_bytes, parent_run_id)
  SELECT id, at_ms, client_id, tool, outcome, duration_ms, input_digest, output_bytes, parent_run_id FROM audit_by_id
  ORDER BY at_ms, id;
  DROP TABLE audit_by_id;
`;

export const auditRecord = z.object({
  id: z.string(),
  at_ms: z.number(),
  client_id: z.string(),
  tool: z.string(),
  outcome: z.string(),
  duration_ms: z.number(),
  input_digest: z.string(),
  output_bytes: z.number(),
  parent_run_id: z.string().nullable(),
});

export function rowOf(record: AuditRecord): AuditRow {
  return {
    id: record.id,
    atMs: record.at_ms,
    clientId: record.client_id,
    tool: record.tool,
    outcome: record.outcome,
    durationMs: record.duration_ms,
    inputDigest: record.input_digest,
    outputBytes: record.output_bytes,
    ...(record.parent_run_id === null ? {} : { parentRunId: record.parent_run_id }),
  };
}

const costRecord = z.object({ call_id: z.string() });

const ownerRecord = z.object({ user_id: z.string() });

const RECORD_AUDIT = `
  INSERT OR IGNORE INTO audit (
    id, at_ms, client_id, tool, outcome, duration_ms, input_digest, output_bytes, parent_run_id)
  SELECT value->>'$.audit.id', value->>'$.audit.atMs', value->>'$.audit.clientId', value->>'$.audit.tool',
    value->>'$.audit.outcome', value->>'$.audit.durationMs', value->>'$.audit.inputDigest',
    value->>'$.audit.outputBytes', value->>'$.audit.parentRunId'
  FROM json_each(?)`;

const RECORD_COSTS = `
  INSERT OR IGNORE INTO costs
  SELECT value->>'$.cost.callId', value->>'$.cost.atMs', round(value->>'$.cost.nanoUsd')
  FROM json_each(?) WHERE true RETURNING call_id`;

const DROP_AUDIT = `
  DELETE FROM audit WHERE (at_ms, id) IN (SELECT value->>'$[0]', value->>'$[1]' FROM json_each(?))`;
const COUNT_COSTS = `
  SELECT count(*) FILTER (WHERE call_id NOT LIKE '%/%') AS calls, coalesce(sum(nano_usd), 0) AS total FROM costs`;

/**
 * One person's books: an audit row for each call, and what calls and sessions cost. Audit rows leave in time
 * (audit-export.ts); costs stay, for they are added up, and say nothing of what was done.
 */
export class BookTable {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    const isOld =
      sql.exec("SELECT 1 FROM pragma_table_info('audit') WHERE name = 'id' AND pk = 1").toArray().length > 0;
    if (isOld) sql.exec("ALTER TABLE audit RENAME TO audit_by_id");
    sql.exec(SCHEMA);
    if (isOld) sql.exec(TAKE_OVER);
  }

  /** Those that are new: the same one given twice is kept once. */
  write(userId: string, entries: readonly BooksEntry[]): BooksEntry[] {
    this.noteOwner(userId);
    this.#sql.exec(RECORD_AUDIT, JSON.stringify(entries));
    return this.#addCosts(entries);
  }

  /** Those that are new. */
  keepCosts(costs: readonly SessionCost[]): SessionCost[] {
    return this.#addCosts(costs.map((cost) => ({ cost }))).map(({ cost }) => cost);
  }

  #addCosts<Entry extends { readonly cost: CostRow }>(entries: readonly Entry[]): Entry[] {
    const rows = this.#sql.exec(RECORD_COSTS, JSON.stringify(entries)).toArray();
    const added = new Set(rows.map((row) => costRecord.parse(row).call_id));
    // What is in there twice is new once.
    return entries.filter(({ cost }) => added.delete(cost.callId));
  }

  noteOwner(userId: string): void {
    this.#sql.exec("INSERT OR IGNORE INTO books VALUES (1, ?)", userId);
  }

  /** The newest first, at most `limit`. */
  listAudit(limit: number): AuditRow[] {
    const rows = this.#sql.exec("SELECT * FROM audit ORDER BY at_ms DESC, id DESC LIMIT ?", limit).toArray();
    return rows.map((row) => rowOf(auditRecord.parse(row)));
  }

  /** Whose books these are; unknown until something is written. */
  userId(): string | undefined {
    const [row] = this.#sql.exec("SELECT user_id FROM books").toArray();
    return row === undefined ? undefined : ownerRecord.parse(row).user_id;
  }

  oldestAuditMs(): number | undefined {
    const { oldest } = this.#sql.exec("SELECT min(at_ms) AS oldest FROM audit").one();
    return oldest === null ? undefined : Number(oldest);
  }

  /** The oldest of what came before that time, oldest first, at most `limit`. */
  auditBefore(endMs: number, limit: number): AuditRecord[] {
    const query = "SELECT * FROM audit WHERE at_ms < ? ORDER BY at_ms, id LIMIT ?";
    const rows = this.#sql.exec(query, endMs, limit).toArray();
    return rows.map((row) => auditRecord.parse(row));
  }

  dropAudit(rows: readonly AuditRecord[]): void {
    this.#sql.exec(DROP_AUDIT, JSON.stringify(rows.map(({ at_ms: atMs, id }) => [atMs, id])));
  }

  costTotal(): { calls: number; nanoUsd: number } {
    const row = this.#sql.exec(COUNT_COSTS).one();
    return { calls: Number(row["calls"]), nanoUsd: Number(row["total"]) };
  }
}
