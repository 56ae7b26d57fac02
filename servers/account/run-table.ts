import * as z from "zod";
import type { ModelSpend } from "./model-spend.ts";

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS delegate_runs (
    id TEXT PRIMARY KEY, parent_id TEXT, title TEXT NOT NULL, started_at_ms INTEGER NOT NULL, ends_by_ms INTEGER NOT NULL,
    status TEXT
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS delegate_runs_by_start ON delegate_runs (started_at_ms);
`;

/** How long a run that has ended is told of; its object forgets it then, too. */
export const RUN_KEPT_MS = 7 * 24 * 60 * 60 * 1_000;

/** Columns that the table of an older version lacks. */
const LATER_COLUMNS = ["spent_tokens INTEGER NOT NULL DEFAULT 0", "spent_nano_usd INTEGER NOT NULL DEFAULT 0"];

const row = z.object({
  id: z.string(),
  parent_id: z.string().nullable(),
  title: z.string(),
  started_at_ms: z.number(),
  ends_by_ms: z.number(),
  status: z.string().nullable(),
  spent_tokens: z.number(),
  spent_nano_usd: z.number(),
});
type RunRow = z.output<typeof row>;

/** A delegated run, as its person's account knows it. */
export interface ListedRun {
  readonly id: string;
  /** The run that started it, where a sub-agent did. */
  readonly parentId?: string;
  /** How its task begins. */
  readonly title: string;
  readonly startedAtMs: number;
  /** Its deadline: it has ended by then, heard of or not. */
  readonly endsByMs: number;
  /** How it ended; absent while it is under way. */
  readonly status?: string;
}

/** A run with what its own model calls have come to; those of the runs that it started are theirs. */
export interface SpentRun extends ListedRun {
  readonly spentNanoUsd: number;
  readonly spentTokens: number;
}

/** One person's delegated runs: which there are, and how many go side by side. */
export class RunTable {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(SCHEMA);
    const known = sql.exec("SELECT name FROM pragma_table_info('delegate_runs')").toArray();
    for (const column of LATER_COLUMNS) {
      if (known.some(({ name }) => name === column.split(" ")[0])) continue;
      sql.exec(`ALTER TABLE delegate_runs ADD COLUMN ${column}`);
    }
  }

  /** Takes a place for a run, unless all are taken. */
  begin(run: ListedRun, maxAtOnce: number): boolean {
    this.#sql.exec("DELETE FROM delegate_runs WHERE ends_by_ms < ?", run.startedAtMs - RUN_KEPT_MS);
    const query = "SELECT count(*) AS busy FROM delegate_runs WHERE status IS NULL AND ends_by_ms > ? AND id <> ?";
    const busy = Number(this.#sql.exec(query, run.startedAtMs, run.id).one()["busy"]);
    if (busy >= maxAtOnce) return false;
    this.#sql.exec(
      "INSERT OR REPLACE INTO delegate_runs VALUES (?, ?, ?, ?, ?, NULL, 0, 0)",
      run.id,
      run.parentId ?? null,
      run.title,
      run.startedAtMs,
      run.endsByMs,
    );
    return true;
  }

  end(id: string, status: string): void {
    this.#sql.exec("UPDATE delegate_runs SET status = ? WHERE id = ?", status, id);
  }

  forget(id: string): void {
    this.#sql.exec("DELETE FROM delegate_runs WHERE id = ?", id);
  }

  noteSpent(id: string, { tokens, nanoUsd }: ModelSpend): void {
    this.#sql.exec(
      "UPDATE delegate_runs SET spent_tokens = spent_tokens + ?, spent_nano_usd = spent_nano_usd + ? WHERE id = ?",
      ...[tokens, nanoUsd, id],
    );
  }

  /** Those that are under way, or that nobody has heard the end of. */
  open(): string[] {
    const rows = this.#sql.exec("SELECT id FROM delegate_runs WHERE status IS NULL").toArray();
    return rows.map((found) => row.pick({ id: true }).parse(found).id);
  }

  /** The newest first; those that one run started, where that is given. */
  list(limit: number, parentId?: string): ListedRun[] {
    return this.#rows(limit, parentId).map(readRun);
  }

  listSpent(limit: number): SpentRun[] {
    return this.#rows(limit).map((found) => ({
      ...readRun(found),
      spentNanoUsd: found.spent_nano_usd,
      spentTokens: found.spent_tokens,
    }));
  }

  #rows(limit: number, parentId?: string): RunRow[] {
    const query = `SELECT * FROM delegate_runs WHERE ?1 IS NULL OR parent_id = ?1 ORDER BY started_at_ms DESC, id LIMIT ?2`;
    const rows = this.#sql.exec(query, parentId ?? null, limit).toArray();
    return rows.map((found) => row.parse(found));
  }
}

function readRun({ id, parent_id, title, started_at_ms, ends_by_ms, status }: RunRow): ListedRun {
  return {
    id,
    title,
    startedAtMs: started_at_ms,
    endsByMs: ends_by_ms,
    ...(parent_id === null ? {} : { parentId: parent_id }),
    ...(status === null ? {} : { status }),
  };
}
