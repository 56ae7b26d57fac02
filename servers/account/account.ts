import { DurableObject } from "cloudflare:workers";
import * as z from "zod";
import { isScope } from "../../auth/scopes.ts";
import type { StoredToken } from "../../auth/tokens.ts";
import { consoleLog } from "../core/log.ts";
import { filesPrefix } from "../shared/paths.ts";
import { type Settings, parseSettings } from "../shared/settings.ts";
import { type Chore, armAlarm, runChores } from "./chores.ts";
import { FileDeletions } from "./file-deletions.ts";
import { type ChangeOutcome, type FileChange, StorageLedger, type StorageSums } from "./storage-ledger.ts";
import { removeTrash, removeVersions, storageChores } from "./storage-upkeep.ts";
import type { TrashRow } from "./trash-table.ts";

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

/** What one call cost the deployment beyond the plan, as far as it is known when the call ends. */
export interface CostRow {
  readonly callId: string;
  readonly atMs: number;
  /** Billionths of a US dollar, so that sums of whole numbers stay exact. */
  readonly nanoUsd: number;
}

/** What one call leaves. */
export interface BooksEntry {
  readonly audit: AuditRow;
  readonly cost: CostRow;
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS audit (
    id TEXT PRIMARY KEY, at_ms INTEGER NOT NULL, client_id TEXT NOT NULL, tool TEXT NOT NULL, outcome TEXT NOT NULL,
    duration_ms REAL NOT NULL, input_digest TEXT NOT NULL, output_bytes INTEGER NOT NULL, parent_run_id TEXT
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS audit_by_time ON audit (at_ms);
  CREATE TABLE IF NOT EXISTS costs (
    call_id TEXT PRIMARY KEY, at_ms INTEGER NOT NULL, nano_usd INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS tokens (
    hash TEXT PRIMARY KEY, id TEXT NOT NULL, name TEXT NOT NULL, scopes TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL, expires_at_ms INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS attempts (
    name TEXT PRIMARY KEY, count INTEGER NOT NULL, retry_at_ms INTEGER NOT NULL
  ) WITHOUT ROWID;
`;

const auditRecord = z.object({
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

const tokenRecord = z.object({
  hash: z.string(),
  id: z.string(),
  name: z.string(),
  scopes: z.string(),
  created_at_ms: z.number(),
  expires_at_ms: z.number(),
});

const attemptRecord = z.object({ count: z.number(), retry_at_ms: z.number() });

const RECORD_AUDIT = `
  INSERT OR IGNORE INTO audit
  SELECT value->>'$.audit.id', value->>'$.audit.atMs', value->>'$.audit.clientId', value->>'$.audit.tool',
    value->>'$.audit.outcome', value->>'$.audit.durationMs', value->>'$.audit.inputDigest',
    value->>'$.audit.outputBytes', value->>'$.audit.parentRunId'
  FROM json_each(?)`;

const RECORD_COSTS = `
  INSERT OR IGNORE INTO costs
  SELECT value->>'$.cost.callId', value->>'$.cost.atMs', round(value->>'$.cost.nanoUsd') FROM json_each(?)`;

interface AccountEnv {
  readonly FILES: R2Bucket;
}

/** What an account says of its person's storage. */
export interface StorageState extends StorageSums {
  readonly quotaBytes: number;
}

/**
 * One person's books: what was called, what it cost, the personal access tokens, and what the files come to. One object
 * per `userId`.
 */
export class Account extends DurableObject<AccountEnv> {
  readonly #sql: SqlStorage;
  readonly #storage: StorageLedger;
  readonly #deletions: FileDeletions;
  readonly #chores: readonly Chore[];
  #parsedSettings: Settings | undefined;

  constructor(state: DurableObjectState, env: AccountEnv) {
    super(state, env);
    this.#sql = state.storage.sql;
    this.#sql.exec(SCHEMA);
    this.#storage = new StorageLedger(this.#sql);
    this.#deletions = new FileDeletions(env.FILES);
    this.#chores = storageChores({ ledger: this.#storage, bucket: env.FILES }, () => this.#settings());
  }

  override async alarm(): Promise<void> {
    await runChores(this.ctx.storage, this.#chores, consoleLog);
  }

  /** Keeps one audit row and one cost row a call, all of them or none. The same row given twice is kept once. */
  record(entries: readonly BooksEntry[]): void {
    this.ctx.storage.transactionSync(() => this.#write(entries));
  }

  #write(entries: readonly BooksEntry[]): void {
    const all = JSON.stringify(entries);
    this.#sql.exec(RECORD_AUDIT, all);
    this.#sql.exec(RECORD_COSTS, all);
  }

  /** The newest audit rows first, at most `limit`. */
  listAudit(limit: number): AuditRow[] {
    const rows = this.#sql.exec("SELECT * FROM audit ORDER BY at_ms DESC, id DESC LIMIT ?", limit).toArray();
    return rows.map((row) => {
      const record = auditRecord.parse(row);
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
    });
  }

  /** How many calls have a cost row, and what they come to. */
  costTotal(): { calls: number; nanoUsd: number } {
    const row = this.#sql.exec("SELECT count(*) AS calls, coalesce(sum(nano_usd), 0) AS total FROM costs").one();
    return { calls: Number(row["calls"]), nanoUsd: Number(row["total"]) };
  }

  addToken(token: StoredToken): void {
    this.#sql.exec("DELETE FROM tokens WHERE expires_at_ms < ?", token.createdAtMs);
    this.#sql.exec(
      "INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?)",
      token.hash,
      token.id,
      token.name,
      token.scopes.join(" "),
      token.createdAtMs,
      token.expiresAtMs,
    );
  }

  /** The token with that hash; expiry is for the caller to check, against its own clock. */
  findToken(hash: string): StoredToken | undefined {
    const [row] = this.#sql.exec("SELECT * FROM tokens WHERE hash = ?", hash).toArray();
    if (row === undefined) return undefined;
    const record = tokenRecord.parse(row);
    return {
      id: record.id,
      hash: record.hash,
      name: record.name,
      scopes: record.scopes.split(" ").filter(isScope),
      createdAtMs: record.created_at_ms,
      expiresAtMs: record.expires_at_ms,
    };
  }

  /**
   * Takes one of `limit` attempts at something that can be guessed, in one step: parallel guesses cannot share one.
   * Once they are used up there are none until `windowMs` after the last.
   */
  takeAttempt({
    name,
    limit,
    windowMs,
    nowMs,
  }: {
    readonly name: string;
    readonly limit: number;
    readonly windowMs: number;
    readonly nowMs: number;
  }): { isAllowed: boolean; retryAtMs: number } {
    this.#sql.exec("DELETE FROM attempts WHERE retry_at_ms <= ?", nowMs);
    const [row] = this.#sql.exec("SELECT * FROM attempts WHERE name = ?", name).toArray();
    const taken = row === undefined ? { count: 0, retry_at_ms: nowMs } : attemptRecord.parse(row);
    if (taken.count >= limit) return { isAllowed: false, retryAtMs: taken.retry_at_ms };
    const retryAtMs = nowMs + windowMs;
    this.#sql.exec("INSERT OR REPLACE INTO attempts VALUES (?, ?, ?)", name, taken.count + 1, retryAtMs);
    return { isAllowed: true, retryAtMs };
  }

  clearAttempts(name: string): void {
    this.#sql.exec("DELETE FROM attempts WHERE name = ?", name);
  }

  /** Admits a change of the person's files, or refuses it by the quota. Each that is admitted is finished or given up. */
  async beginChange(change: FileChange): Promise<StorageState & { readonly isAdmitted: boolean }> {
    while (this.#deletions.running(change.path) !== undefined) await this.#deletions.running(change.path);
    this.#storage.open(change.userId, Date.now());
    const isAdmitted = this.#storage.begin(change, this.#quotaBytes(), Date.now());
    return { ...(await this.storageState(change.userId)), isAdmitted };
  }

  finishChange(id: string, outcome: ChangeOutcome): void {
    this.#storage.finish(id, outcome, Date.now());
  }

  /** Where what came of a change is not known: it is looked for in a while. */
  async giveUpChange(id: string): Promise<void> {
    this.#storage.giveUp(id, Date.now());
    await armAlarm(this.ctx.storage, this.#chores);
  }

  /** Deletes a file that still has that etag, and finishes the change with it; nothing where it is not to be had. */
  async deleteFile(
    id: string,
    { path, etag }: { readonly path: string; readonly etag: string },
    outcome: ChangeOutcome,
  ): Promise<"deleted" | "changed" | "busy"> {
    while (this.#deletions.running(path) !== undefined) await this.#deletions.running(path);
    const userId = this.#storage.userId();
    if (userId === undefined || this.#storage.isBeingWritten(path, id, Date.now())) return "busy";
    if (!(await this.#deletions.deleteUnchanged(filesPrefix(userId), path, etag))) return "changed";
    this.finishChange(id, outcome);
    return "deleted";
  }

  async storageState(userId: string): Promise<StorageState> {
    this.#storage.open(userId, Date.now());
    await armAlarm(this.ctx.storage, this.#chores);
    return { ...this.#storage.sums(), quotaBytes: this.#quotaBytes() };
  }

  listTrash(below: string | undefined, limit: number): TrashRow[] {
    return this.#storage.trash.list(below, limit);
  }

  findTrash(what: { readonly id: string } | { readonly path: string }): TrashRow | undefined {
    return this.#storage.trash.find(what);
  }

  /** Removes one version for good, or all that are in the trash now. */
  async emptyTrash(id?: string): Promise<{ readonly versions: number; readonly freedBytes: number }> {
    const storage = { ledger: this.#storage, bucket: this.env.FILES };
    if (id !== undefined) return await removeVersions(storage, [this.#storage.trash.find({ id }) ?? []].flat());
    const untilMs = Date.now();
    const sum = { versions: 0, freedBytes: 0 };
    for (;;) {
      const { versions, freedBytes } = await removeTrash(storage, untilMs);
      if (versions === 0) return sum;
      sum.versions += versions;
      sum.freedBytes += freedBytes;
    }
  }

  #quotaBytes(): number {
    return this.#settings().FILES_QUOTA_MB * 1024 * 1024;
  }

  /** Read when they are first needed, so that signing in does not wait for them. */
  #settings(): Settings {
    this.#parsedSettings ??= parseSettings({ ...this.env });
    return this.#parsedSettings;
  }
}
