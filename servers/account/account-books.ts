import { type Settings, parseSettings } from "../shared/settings.ts";
import { isAct } from "./acts.ts";
import { AuditExport } from "./audit-export.ts";
import { type AuditFilter, type AuditPage, type AuditQuery, queryAudit } from "./audit-query.ts";
import { auditStream } from "./audit-stream.ts";
import { type AuditRow, BookTable, type BooksEntry, type SessionCost } from "./book-table.ts";
import { type Chore, armAlarm } from "./chores.ts";
import { earlierUsage } from "./earlier-usage.ts";
import { type Handle, HandleTable } from "./handle-table.ts";
import {
  type DayAnswer,
  type ModelSpend,
  ModelSpendTable,
  type SettledModelCall,
  type ToldModelCall,
} from "./model-spend.ts";
import { type BrokenCall, Outbox, TELL_AFTER_MS, type ToldDirectory } from "./outbox.ts";
import { type ListedRun, RunTable, type SpentRun } from "./run-table.ts";
import { SignInAccount } from "./sign-in-account.ts";
import { StandingTable } from "./standing.ts";
import { folded, usageOfCall, usageOfSession } from "./tally.ts";
import { type UsageDelta, type UsageQuery, type UsageRow, UsageTable } from "./usage-table.ts";

export interface BooksEnv {
  readonly FILES: R2Bucket;
  readonly DIRECTORY: DurableObjectNamespace<ToldDirectory>;
}

/** The name that finds the one `Directory` of a deployment. */
export const DIRECTORY_NAME = "directory";

/** What a person has that may be at work. */
export interface Things {
  readonly handles: readonly Handle[];
  readonly runs: readonly SpentRun[];
  /** Another one with every change of the above. */
  readonly revision: number;
}

const MAX_RUNS_SHOWN = 100;

/** What was called, what it cost, and what was at work in it: the part of an account that is added up. */
export class AccountBooks extends SignInAccount<BooksEnv> {
  protected readonly standingTable: StandingTable;
  readonly #books: BookTable;
  readonly #usage: UsageTable;
  readonly #handles: HandleTable;
  readonly #outbox: Outbox;
  readonly #runs: RunTable;
  readonly #modelSpend: ModelSpendTable;
  protected readonly bookChores: readonly Chore[];
  #settings: Settings | undefined;
  // Goes on where an evicted object's ended, since that did not grow by one each millisecond.
  #revision = Date.now();

  constructor(state: DurableObjectState, env: BooksEnv) {
    super(state, env);
    const { sql } = state.storage;
    this.standingTable = new StandingTable(sql);
    this.#usage = new UsageTable(sql);
    // Before the audit is put into the order of time: in that of ids it lies beside what its calls cost.
    const earlier = this.#usage.isNew ? earlierUsage(sql) : [];
    this.#books = new BookTable(sql);
    this.#handles = new HandleTable(sql);
    this.#outbox = new Outbox(
      state.storage,
      () => this.#books.userId(),
      () => env.DIRECTORY.get(env.DIRECTORY.idFromName(DIRECTORY_NAME)),
    );
    this.#runs = new RunTable(sql);
    this.#modelSpend = new ModelSpendTable(sql);
    this.bookChores = [new AuditExport(this.#books, env.FILES, () => this.settings().AUDIT_KEEP_DAYS), this.#outbox];
    this.#add(earlier, []);
  }

  /** Read when they are first needed, so that signing in does not wait for them. */
  protected settings(): Settings {
    return (this.#settings ??= parseSettings({ ...this.env }));
  }

  /** Keeps one audit row and one cost row a call, all of them or none. The same row given twice is kept once. */
  async record(userId: string, entries: readonly BooksEntry[]): Promise<void> {
    this.ctx.storage.transactionSync(() => {
      const added = this.#books.write(userId, entries);
      const calls = added.filter(({ audit }) => !isAct(audit));
      this.#add(calls.map(usageOfCall), calls.flatMap(brokenCall));
      this.standingTable.noteCalls(calls);
      this.#handles.noteUses(
        added.flatMap(({ handle, audit }) => (handle === undefined ? [] : { ...handle, atMs: audit.atMs })),
      );
    });
    this.#revision += 1;
    // The other chores have set the alarm themselves.
    await this.#arm();
  }

  /** Keeps what stretches of sessions cost, all of them or none. The same one given twice is kept once. */
  async keepCosts(costs: readonly SessionCost[]): Promise<void> {
    this.#keep(costs);
    await this.#arm();
  }

  /** Those that are new. */
  #keep(costs: readonly SessionCost[]): SessionCost[] {
    return this.ctx.storage.transactionSync(() => {
      // A session may be settled before its first call is written down.
      if (this.ctx.id.name !== undefined) this.#books.noteOwner(this.ctx.id.name);
      const added = this.#books.keepCosts(costs);
      this.#add(added.map(usageOfSession), []);
      return added;
    });
  }

  async #arm(): Promise<void> {
    const armedAtMs = await this.ctx.storage.getAlarm();
    // What was written just now is due after that time, and for all else the alarm is set already: to look for what is
    // due with each call would cost as much as to write it down.
    if (armedAtMs === null || armedAtMs > Date.now() + TELL_AFTER_MS) await armAlarm(this.ctx.storage, this.bookChores);
  }

  #add(deltas: readonly UsageDelta[], broken: readonly BrokenCall[]): void {
    if (deltas.length === 0) return;
    const sums = folded(deltas);
    this.#usage.add(sums);
    this.#outbox.add(sums, broken, Date.now());
  }

  /** How many calls have a cost row, and what all rows come to. */
  costTotal(): { calls: number; nanoUsd: number } {
    return this.#books.costTotal();
  }

  /** The newest audit rows first, at most `limit`. */
  listAudit(limit: number): AuditRow[] {
    return this.#books.listAudit(limit);
  }

  audit(query: AuditQuery): AuditPage {
    return queryAudit(this.ctx.storage.sql, query);
  }

  /** All calls of a query as JSON lines, the newest first. */
  auditLines(filter: AuditFilter): ReadableStream<Uint8Array> {
    return auditStream((query) => this.audit(query), filter);
  }

  usage(query: UsageQuery): UsageRow[] {
    return this.#usage.query(query);
  }

  /** On which day each client was last at work. */
  lastDays(): Record<string, string> {
    return this.#usage.lastDays();
  }

  things(): Things {
    return { handles: this.#handles.list(), runs: this.#runs.listSpent(MAX_RUNS_SHOWN), revision: this.#revision };
  }

  /** Nothing where that is what it is still. */
  thingsSince(revision: number): Things | undefined {
    return revision === this.#revision ? undefined : this.things();
  }

  /** Takes one of the places for delegated runs, unless all are taken. */
  beginRun(run: ListedRun, maxAtOnce: number): boolean {
    this.#revision += 1;
    return this.#runs.begin(run, maxAtOnce);
  }

  endRun(id: string, status: string): void {
    this.#revision += 1;
    this.#runs.end(id, status);
  }

  /** A run that did not begin after all. */
  forgetRun(id: string): void {
    this.#revision += 1;
    this.#runs.forget(id);
  }

  /** The runs that are under way. */
  openRuns(): string[] {
    return this.#runs.open();
  }

  listRuns(limit: number, parentId?: string): ListedRun[] {
    return this.#runs.list(limit, parentId);
  }

  /**
   * Sets aside what a model call may use at most, in one step: parallel runs cannot share the day's last dollar. Where
   * that is more than is left of the day nothing is set aside. What has no known price is refused once the day's dollars
   * are passed. `last` is what the run's last call came to, if that is still to be told.
   */
  async reserveModelCall(id: string, most: ModelSpend, limit: ModelSpend, last?: ToldModelCall): Promise<DayAnswer> {
    const isNews = last !== undefined && this.#settleModelCall(last.callId, last);
    const nowMs = Date.now();
    const { now, atBest } = this.#modelSpend.left(id, limit, nowMs);
    const isAdmitted = most.tokens <= now.tokens && most.nanoUsd <= now.nanoUsd;
    if (isAdmitted) this.#modelSpend.reserve(id, most, nowMs);
    if (isNews) await this.#arm();
    return { isAdmitted, left: now, leftAtBest: atBest };
  }

  /** What a model call has used after all, and what of it is a cost of the deployment. */
  async settleModelCall(id: string, used: SettledModelCall): Promise<void> {
    if (this.#settleModelCall(id, used)) await this.#arm();
  }

  /** Whether that is news to the books. */
  #settleModelCall(id: string, { of, ...used }: SettledModelCall): boolean {
    this.#modelSpend.settle(id, used);
    if (of === undefined) return false;
    const cost = { callId: `model/${id}`, atMs: Date.now(), nanoUsd: used.nanoUsd };
    const [isNew] = this.#keep([{ ...cost, use: { kind: "model", ...of } }]);
    if (isNew === undefined) return false;
    this.#runs.noteSpent(id.split("/")[0] ?? id, used);
    this.#revision += 1;
    return true;
  }
}

function brokenCall({ audit: { id, atMs, tool, outcome } }: BooksEntry): BrokenCall[] {
  return outcome === "internal" ? [{ reference: id, atMs, tool }] : [];
}
