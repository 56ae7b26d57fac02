import type { Act } from "../../auth/acts.ts";
import { consoleLog } from "../core/log.ts";
import type { Standing } from "../shared/limits.ts";
import { AccountBooks, type BooksEnv } from "./account-books.ts";
import { entryOfAct } from "./acts.ts";
import { BURST_MS } from "./change-burst.ts";
import type { FileChange } from "./change-table.ts";
import { type Chore, armAlarm, runChores } from "./chores.ts";
import { NO_FIGURES, dayOf } from "./figures.ts";
import type { RuleChange, StandingNow } from "./standing.ts";
import { StorageCost } from "./storage-cost.ts";
import { type StorageState, StorageKeeper } from "./storage-keeper.ts";
import type { ChangeOutcome, EndedChange } from "./storage-ledger.ts";
import type { Removed } from "./storage-upkeep.ts";
import { type PreviewCode, PreviewTable, type StoredPreview } from "./preview-table.ts";
import { LinkRows, type StoredLink } from "./share-links.ts";
import { type OpenUpload, type Reservation, type UploadedPart, UploadRows } from "./uploads.ts";
import type { TrashQuery, TrashRow } from "./trash-table.ts";

/**
 * One person's books: what was called, what it cost, the personal access tokens, and what the files come to. One object
 * per `userId`.
 */
export class Account extends AccountBooks {
  readonly #sql: SqlStorage;
  readonly #storage: StorageKeeper;
  readonly #links: LinkRows;
  readonly #previews: PreviewTable;
  readonly #uploads: UploadRows;
  readonly #chores: readonly Chore[];

  constructor(state: DurableObjectState, env: BooksEnv) {
    super(state, env);
    this.#sql = state.storage.sql;
    this.#storage = new StorageKeeper(this.#sql, env.FILES, () => {
      const { FILES_QUOTA_MB, ARTIFACTS_KEEP_DAYS } = this.settings();
      return { FILES_QUOTA_MB: this.standingTable.storageMb ?? FILES_QUOTA_MB, ARTIFACTS_KEEP_DAYS };
    });
    this.#links = new LinkRows(this.#sql);
    this.#previews = new PreviewTable(this.#sql);
    this.#uploads = new UploadRows(this.#sql, env.FILES);
    const storageCost = new StorageCost({
      sql: this.#sql,
      bytes: () => this.#storage.takenBytes(),
      isBilled: () => this.settings().SANDBOX_DRIVER === "container",
      keepCosts: async (costs) => await this.keepCosts(costs),
    });
    this.#chores = [...this.#storage.chores, this.#uploads, storageCost, ...this.bookChores];
  }

  override async alarm(): Promise<void> {
    this.#storage.write();
    await runChores(this.ctx.storage, this.#chores, consoleLog);
  }

  /** How the person stands: what holds for them alone, what they have used of the day, and what was refused. */
  standing(): Standing {
    const { paused, own } = this.standingTable.rules;
    const day = dayOf(Date.now());
    const [used = NO_FIGURES] = this.usage({ fromDay: day, toDay: day, by: "day" });
    const { calls, nanoUsd, estimatedNanoUsd, sandboxMs, browserMs } = used;
    const storageBytes = this.#storage.takenBytes();
    return {
      own,
      ...(paused === undefined ? {} : { paused }),
      today: { day, calls, nanoUsd: nanoUsd + estimatedNanoUsd, sandboxMs, browserMs, storageBytes },
      hits: this.standingTable.hits(),
    };
  }

  async recordAct(userId: string, act: Act): Promise<void> {
    await this.record(userId, [await entryOfAct(act)]);
  }

  /** The same for the calls of an isolate, which says how many it has under way. */
  standingAtGate(isolate: string, inFlight: number): StandingNow {
    return { ...this.standing(), ...this.standingTable.atGate(isolate, inFlight, Date.now()) };
  }

  setRules(change: RuleChange): Standing {
    this.standingTable.setRules(change);
    return this.standing();
  }

  /** What the person's role allows of storage; `undefined` for as much as the deployment does. */
  setRoleStorage(storageMb: number | undefined): void {
    this.standingTable.setRoleStorage(storageMb);
  }

  /**
   * Admits a change of the person's files, or refuses it by the quota. Each that is admitted is finished, if need be with
   * the next one, or given up.
   */
  async beginChange(
    change: FileChange,
    ended: readonly EndedChange[] = [],
  ): Promise<StorageState & { readonly isAdmitted: boolean }> {
    for (const { id, outcome } of ended) this.finishChange(id, outcome);
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

  exposePort(preview: StoredPreview): StoredPreview | undefined {
    return this.#previews.expose(preview);
  }

  sharePreview(id: string, share: StoredPreview["share"]): void {
    this.#previews.setShare(id, share);
  }

  findPreview(id: string): StoredPreview | undefined {
    return this.#previews.find(id);
  }

  listPreviews(): StoredPreview[] {
    return this.#previews.list();
  }

  withdrawPort(sandbox: string, port: number): StoredPreview | undefined {
    return this.#previews.withdraw(sandbox, port);
  }

  addPreviewCode(code: PreviewCode, nowMs: number): boolean {
    return this.#previews.addCode(code, nowMs);
  }

  takePreviewCode(hash: string, previewId: string, nowMs: number): boolean {
    return this.#previews.takeCode(hash, previewId, nowMs);
  }
}
