import * as z from "zod";
import type { FileChange } from "./change-table.ts";
import { OpenChanges } from "./open-changes.ts";
import { type TrashRow, TrashTable } from "./trash-table.ts";

/** What a change has done. */
export interface ChangeOutcome {
  /** By how much the files are larger now. */
  readonly filesBytes: number;
  /** What is in the trash now under the change's id. */
  readonly trashed?: Pick<TrashRow, "path" | "sizeBytes" | "reason">;
  /** What has left the trash. */
  readonly restoredId?: string;
}

/** A change and what came of it. */
export interface EndedChange {
  readonly id: string;
  readonly outcome: ChangeOutcome;
}

export interface StorageSums {
  readonly filesBytes: number;
  readonly trashBytes: number;
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS storage (
    id INTEGER PRIMARY KEY CHECK (id = 1), user_id TEXT NOT NULL, files_bytes INTEGER NOT NULL,
    trash_bytes INTEGER NOT NULL, recount_at_ms INTEGER, artifacts_at_ms INTEGER NOT NULL
  );
`;

const storageRecord = z.object({
  user_id: z.string(),
  files_bytes: z.number(),
  trash_bytes: z.number(),
  recount_at_ms: z.number().nullable(),
  artifacts_at_ms: z.number(),
});

/**
 * What one person's files and trash come to, and what is in the trash, so that nothing has to be scanned to know it.
 * R2 is the truth: whatever is written here can be made again from it (storage-upkeep.ts).
 */
export class StorageLedger {
  readonly trash: TrashTable;
  readonly #changes: OpenChanges;
  readonly #sql: SqlStorage;
  /** By how much the files are larger than the disk has it, by changes of the burst that have ended. */
  #unwrittenBytes = 0;
  #finished = 0;

  constructor(sql: SqlStorage) {
    this.trash = new TrashTable(sql);
    this.#changes = new OpenChanges(sql);
    this.#sql = sql;
    sql.exec(SCHEMA);
  }

  /** A person whose files nobody has counted yet may have some: they are counted in the background. */
  open(userId: string, nowMs: number): void {
    if (this.#storage() !== undefined) return;
    this.#sql.exec("INSERT INTO storage VALUES (1, ?, 0, 0, ?, ?)", userId, nowMs, nowMs);
  }

  userId(): string | undefined {
    return this.#storage()?.user_id;
  }

  sums(): StorageSums {
    const row = this.#storage();
    // Before the first count, what is deleted was never added.
    return {
      filesBytes: Math.max(0, (row?.files_bytes ?? 0) + this.#unwrittenBytes),
      trashBytes: Math.max(0, row?.trash_bytes ?? 0),
    };
  }

  /** Whether the change fits, with all that are under way; from then on it is one of them. */
  begin({ id, path, growsBytes, writes }: FileChange, quotaBytes: number, nowMs: number): boolean {
    const { filesBytes, trashBytes } = this.sums();
    const growing = this.#changes.sum().growsBytes;
    // What does not grow is let through: a person over the quota has to be able to tidy up.
    if (growsBytes > 0 && filesBytes + trashBytes + growing + growsBytes > quotaBytes) return false;
    this.#changes.begin({ id, path, growsBytes, writes, beganAtMs: nowMs });
    return true;
  }

  /** Brings to disk what only memory knows. Whoever dies before leaves a change that nobody finished, which heals. */
  write(): void {
    this.#changes.endBurst();
    if (this.#unwrittenBytes !== 0) this.#addBytes(this.#unwrittenBytes, 0);
    this.#unwrittenBytes = 0;
  }

  finish(id: string, { filesBytes, trashed, restoredId }: ChangeOutcome, nowMs: number): void {
    this.#finished += 1;
    const was = this.#changes.end(id);
    // For the sum nobody waits. What is in the trash is on disk before anyone is told so.
    if (was === "in memory" && trashed === undefined && restoredId === undefined) {
      this.#unwrittenBytes += filesBytes;
      return;
    }
    if (trashed !== undefined) this.trash.add({ id, ...trashed, atMs: nowMs });
    const restoredBytes = restoredId === undefined ? 0 : this.trash.remove([restoredId]);
    this.#addBytes(filesBytes, (trashed?.sizeBytes ?? 0) - restoredBytes);
    // It took so long that it was looked for, or it is told twice: who knows what is counted already.
    if (was === "nowhere") this.recountAt(nowMs);
  }

  /** Whoever made the change does not know what came of it, and does nothing more. */
  giveUp(id: string, nowMs: number): void {
    this.#changes.giveUp(id, nowMs);
  }

  /** Changes of which nothing more is to be expected. */
  endedChanges(nowMs: number, limit: number): { id: string; path: string; isGivenUp: boolean }[] {
    return this.#changes.ended(nowMs, limit);
  }

  /** When changes are to be brought to disk or ended. */
  nextEndOfChangeMs(): number | undefined {
    return this.#changes.nextEndMs();
  }

  /** What is left of a change that nobody finished is found by counting. */
  dropChange(id: string, nowMs: number): void {
    this.#changes.end(id);
    this.recountAt(nowMs);
  }

  /** Whether somebody else may be putting a file there right now. */
  isBeingWritten(path: string, exceptId: string, nowMs: number): boolean {
    return this.#changes.isWriting(path, exceptId, nowMs);
  }

  /** Of versions whose bytes are gone; how many bytes those were. */
  dropTrash(ids: readonly string[]): number {
    const freedBytes = this.trash.remove(ids);
    this.#finished += 1;
    this.#addBytes(0, -freedBytes);
    return freedBytes;
  }

  dropFiles(bytes: number): void {
    this.#finished += 1;
    this.#addBytes(-bytes, 0);
  }

  recountDueMs(): number | undefined {
    return this.#storage()?.recount_at_ms ?? undefined;
  }

  recountAt(atMs: number): void {
    this.#sql.exec("UPDATE storage SET recount_at_ms = min(coalesce(recount_at_ms, ?), ?)", atMs, atMs);
  }

  postponeRecount(atMs: number): void {
    this.#sql.exec("UPDATE storage SET recount_at_ms = ?", atMs);
  }

  artifactsCheckedMs(): number | undefined {
    return this.#storage()?.artifacts_at_ms;
  }

  setArtifactsChecked(atMs: number): void {
    this.#sql.exec("UPDATE storage SET artifacts_at_ms = ?", atMs);
  }

  /** A moment at which nothing is changing, to ask about later; absent where something is. */
  quietMoment(): number | undefined {
    return this.#changes.sum().count > 0 ? undefined : this.#finished;
  }

  /** Whether nothing has changed since that moment. */
  isQuietSince(moment: number): boolean {
    return this.quietMoment() === moment;
  }

  /** Puts what was counted in the place of the sums. */
  settle(filesBytes: number): void {
    this.#unwrittenBytes = 0;
    this.#sql.exec(
      `UPDATE storage SET files_bytes = ?, recount_at_ms = NULL,
         trash_bytes = (SELECT coalesce(sum(size_bytes), 0) FROM trash)`,
      filesBytes,
    );
  }

  #storage(): z.output<typeof storageRecord> | undefined {
    const [row] = this.#sql.exec("SELECT * FROM storage").toArray();
    return row === undefined ? undefined : storageRecord.parse(row);
  }

  #addBytes(filesBytes: number, trashBytes: number): void {
    this.#sql.exec(
      "UPDATE storage SET files_bytes = files_bytes + ?, trash_bytes = trash_bytes + ?",
      filesBytes,
      trashBytes,
    );
  }
}
