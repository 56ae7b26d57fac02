import { filesPrefix } from "../shared/paths.ts";
import type { FileChange } from "./change-table.ts";
import type { Chore } from "./chores.ts";
import { FileDeletions } from "./file-deletions.ts";
import { type ChangeOutcome, StorageLedger, type StorageSums } from "./storage-ledger.ts";
import { type Removed, removeTrash, removeVersions, storageChores } from "./storage-upkeep.ts";
import type { TrashRow, TrashTable } from "./trash-table.ts";

/** What an account says of its person's storage. */
export interface StorageState extends StorageSums {
  readonly quotaBytes: number;
}

/** What the settings say of it. */
export interface StorageSettings {
  readonly FILES_QUOTA_MB: number;
  readonly ARTIFACTS_KEEP_DAYS?: number | undefined;
}

/** One person's files and trash, as the account keeps watch over them. */
export class StorageKeeper {
  readonly chores: readonly Chore[];
  readonly #bucket: R2Bucket;
  readonly #settings: () => StorageSettings;
  readonly #deletions: FileDeletions;
  readonly #ledger: StorageLedger;

  constructor(sql: SqlStorage, bucket: R2Bucket, settings: () => StorageSettings) {
    this.#bucket = bucket;
    this.#settings = settings;
    this.#deletions = new FileDeletions(bucket);
    this.#ledger = new StorageLedger(sql);
    this.chores = storageChores({ ledger: this.#ledger, bucket }, settings);
  }

  async begin(change: FileChange): Promise<StorageState & { readonly isAdmitted: boolean }> {
    while (this.#deletions.running(change.path) !== undefined) await this.#deletions.running(change.path);
    const state = this.state(change.userId);
    return { ...state, isAdmitted: this.#ledger.begin(change, state.quotaBytes, Date.now()) };
  }

  finish(id: string, outcome: ChangeOutcome): void {
    this.#ledger.finish(id, outcome, Date.now());
  }

  /** Brings to disk what only memory knows. */
  write(): void {
    this.#ledger.write();
  }

  giveUp(id: string): void {
    this.#ledger.giveUp(id, Date.now());
  }

  async delete(
    id: string,
    { path, etag }: { readonly path: string; readonly etag: string },
    outcome: ChangeOutcome,
  ): Promise<"deleted" | "changed" | "busy"> {
    while (this.#deletions.running(path) !== undefined) await this.#deletions.running(path);
    const userId = this.#ledger.userId();
    if (userId === undefined || this.#ledger.isBeingWritten(path, id, Date.now())) return "busy";
    if (!(await this.#deletions.deleteUnchanged(filesPrefix(userId), path, etag))) return "changed";
    this.finish(id, outcome);
    return "deleted";
  }

  state(userId: string): StorageState {
    this.#ledger.open(userId, Date.now());
    return { ...this.#ledger.sums(), quotaBytes: this.#settings().FILES_QUOTA_MB * 1024 * 1024 };
  }

  /** What files and trash take together; 0 for somebody who has none. */
  takenBytes(): number {
    const { filesBytes, trashBytes } = this.#ledger.sums();
    return filesBytes + trashBytes;
  }

  get trash(): Pick<TrashTable, "list" | "find"> {
    return this.#ledger.trash;
  }

  /** One version, or all that are in the trash now. */
  async emptyTrash(id?: string): Promise<Removed> {
    const storage = { ledger: this.#ledger, bucket: this.#bucket };
    if (id !== undefined) {
      const row: TrashRow | undefined = this.trash.find({ id });
      return await removeVersions(storage, row === undefined ? [] : [row]);
    }
    const untilMs = Date.now();
    const sum = { versions: 0, freedBytes: 0 };
    for (;;) {
      const { versions, freedBytes } = await removeTrash(storage, untilMs);
      if (versions === 0) return sum;
      sum.versions += versions;
      sum.freedBytes += freedBytes;
    }
  }
}
