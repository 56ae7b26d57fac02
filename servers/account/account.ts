import type { Act } from "../../auth/acts.ts";
import { consoleLog } from "../core/log.ts";
import { type Settings, parseSettings } from "../shared/settings.ts";
import { entryOfAct } from "./acts.ts";
import { AuditExport } from "./audit-export.ts";
import { type AuditRow, BookTable, type BooksEntry, type CostRow } from "./book-table.ts";
import { BURST_MS } from "./change-burst.ts";
import type { FileChange } from "./change-table.ts";
import { type Chore, armAlarm, runChores } from "./chores.ts";
import { type DayAnswer, type ModelSpend, ModelSpendTable } from "./model-spend.ts";
import { type ListedRun, RunTable } from "./run-table.ts";
import { SignInAccount } from "./sign-in-account.ts";
import { type StorageState, StorageKeeper } from "./storage-keeper.ts";
import type { ChangeOutcome } from "./storage-ledger.ts";
import type { Removed } from "./storage-upkeep.ts";
import { LinkRows, type StoredLink } from "./share-links.ts";
import { type OpenUpload, type Reservation, type UploadedPart, UploadRows } from "./uploads.ts";
import type { TrashQuery, TrashRow } from "./trash-table.ts";

interface AccountEnv {
  readonly FILES: R2Bucket;
}

/**
 * One person's books: what was called, what it cost, the personal access tokens, and what the files come to. One object
 * per `userId`.
 */
export class Account extends SignInAccount<AccountEnv> {
  readonly #sql: SqlStorage;
  readonly #books: BookTable;
  readonly #auditExport: AuditExport;
  readonly #storage: StorageKeeper;
  readonly #links: LinkRows;
  readonly #uploads: UploadRows;
  readonly #runs: RunTable;
  readonly #modelSpend: ModelSpendTable;
  readonly #chores: readonly Chore[];

  constructor(state: DurableObjectState, env: AccountEnv) {
    super(state, env);
    this.#sql = state.storage.sql;
    this.#books = new BookTable(this.#sql);
    // Read when they are first needed, so that signing in does not wait for them.
    let settings: Settings | undefined;
    const readSettings = (): Settings => (settings ??= parseSettings({ ...env }));
    this.#auditExport = new AuditExport(this.#books, env.FILES, () => readSettings().AUDIT_KEEP_DAYS);
    this.#storage = new StorageKeeper(this.#sql, env.FILES, readSettings);
    this.#links = new LinkRows(this.#sql);
    this.#uploads = new UploadRows(this.#sql, env.FILES);
    this.#runs = new RunTable(this.#sql);
    this.#modelSpend = new ModelSpendTable(this.#sql);
    this.#chores = [...this.#storage.chores, this.#uploads, this.#auditExport];
  }

  override async alarm(): Promise<void> {
    this.#storage.write();
    await runChores(this.ctx.storage, this.#chores, consoleLog);
  }

  /** Keeps one audit row and one cost row a call, all of them or none. The same row given twice is kept once. */
  async record(userId: string, entries: readonly BooksEntry[]): Promise<void> {
    this.ctx.storage.transactionSync(() => this.#books.write(userId, entries));
    // The other chores have set the alarm themselves.
    await armAlarm(this.ctx.storage, [this.#auditExport]);
  }

  async recordAct(userId: string, act: Act): Promise<void> {
    await this.record(userId, [await entryOfAct(act)]);
  }

  /** The newest audit rows first, at most `limit`. */
  listAudit(limit: number): AuditRow[] {
    return this.#books.listAudit(limit);
  }

  /** Keeps what stretches of sessions cost, all of them or none. The same one given twice is kept once. */
  keepCosts(costs: readonly CostRow[]): void {
    this.#books.keepCosts(costs);
  }

  /** How many calls have a cost row, and what all rows come to. */
  costTotal(): { calls: number; nanoUsd: number } {
    return this.#books.costTotal();
  }

  /** Admits a change of the person's files, or refuses it by the quota. Each that is admitted is finished or given up. */
  async beginChange(change: FileChange): Promise<StorageState & { readonly isAdmitted: boolean }> {
    const begun = await this.#storage.begin(change);
    const armedAtMs = await this.ctx.storage.getAlarm();
    // For all else the alarm is set already: to look for that with each write would cost as much as the write.
    if (armedAtMs === null || armedAtMs > Date.now() + BURST_MS) await this.#arm();
    return begun;
  }

  finishChange(id: string, outcome: ChangeOutcome): void {
    this.#storage.finish(id, outcome);
  }

  /** Where what came of a change is not known: it is looked for in a while. */
  async giveUpChange(id: string): Promise<void> {
    this.#storage.giveUp(id);
    await this.#arm();
  }

  /** Deletes a file that still has that etag, and finishes the change with it; otherwise the change goes on. */
  async deleteFile(
    id: string,
    file: { readonly path: string; readonly etag: string },
    outcome: ChangeOutcome,
  ): Promise<"deleted" | "changed" | "busy"> {
    return await this.#storage.delete(id, file, outcome);
  }

  async storageState(userId: string): Promise<StorageState> {
    const state = this.#storage.state(userId);
    await this.#arm();
    return state;
  }

  listTrash(query: TrashQuery): TrashRow[] {
    return this.#storage.trash.list(query);
  }

  findTrash(what: { readonly id: string } | { readonly path: string }): TrashRow | undefined {
    return this.#storage.trash.find(what);
  }

  /** Removes one version for good, or all that are in the trash now. */
  async emptyTrash(id?: string): Promise<Removed> {
    return await this.#storage.emptyTrash(id);
  }

  async #arm(): Promise<void> {
    await armAlarm(this.ctx.storage, this.#chores);
  }

  /** Takes one of the places for delegated runs, unless all are taken. */
  beginRun(run: ListedRun, maxAtOnce: number): boolean {
    return this.#runs.begin(run, maxAtOnce);
  }

  endRun(id: string, status: string): void {
    this.#runs.end(id, status);
  }

  /** A run that did not begin after all. */
  forgetRun(id: string): void {
    this.#runs.forget(id);
  }

  listRuns(limit: number, parentId?: string): ListedRun[] {
    return this.#runs.list(limit, parentId);
  }

  /**
   * Sets aside what a model call may use at most, in one step: parallel runs cannot share the day's last dollar. Where
   * that is more than is left of the day nothing is set aside. What has no known price is refused once the day's dollars
   * are passed.
   */
  reserveModelCall(id: string, most: ModelSpend, limit: ModelSpend): DayAnswer {
    const nowMs = Date.now();
    const { now, atBest } = this.#modelSpend.left(id, limit, nowMs);
    const isAdmitted = most.tokens <= now.tokens && most.nanoUsd <= now.nanoUsd;
    if (isAdmitted) this.#modelSpend.reserve(id, most, nowMs);
    return { isAdmitted, left: now, leftAtBest: atBest };
  }

  /** What a model call has used after all, and what of it is a cost of the deployment. */
  settleModelCall(id: string, used: ModelSpend): void {
    this.#modelSpend.settle(id, used);
    if (used.nanoUsd > 0) this.keepCosts([{ callId: `model/${id}`, atMs: Date.now(), nanoUsd: used.nanoUsd }]);
  }

  addLink(link: StoredLink): boolean {
    return this.#links.add(link);
  }

  findLink(id: string): StoredLink | undefined {
    return this.#links.find(id);
  }

  listLinks(): StoredLink[] {
    return this.#links.list();
  }

  /** What has come in by it and is not whole goes too. */
  async removeLink(id: string): Promise<StoredLink | undefined> {
    const link = this.#links.remove(id);
    this.#uploads.dropThoseOf(id);
    await this.#arm();
    return link;
  }

  countFile(linkId: string): void {
    this.#links.countFile(linkId);
  }

  async reserveUpload(upload: OpenUpload, roomBytes: number): Promise<Reservation> {
    const reservation = this.#uploads.reserve(upload, roomBytes);
    await this.#arm();
    return reservation;
  }

  findUpload(id: string, linkId: string): { upload: OpenUpload; parts: UploadedPart[] } | undefined {
    return this.#uploads.find(id, linkId);
  }

  addUploadPart(id: string, part: UploadedPart): void {
    this.#uploads.addPart(id, part);
  }

  endUpload(id: string): void {
    this.#uploads.end(id);
  }
}
