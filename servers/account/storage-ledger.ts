import * as z from "zod";
import { type TrashRow, TrashTable } from "./trash-table.ts";

/** A change of somebody's files, told before it is made. */
export interface FileChange {
  /** Names the change, and the version that it puts into the trash. */
  readonly id: string;
  readonly userId: string;
  readonly path: string;
  /** By how much files and trash may grow together. */
  readonly growsBytes: number;
  /** Whether it puts a file to `path`: nobody may delete there meanwhile. */
  readonly writes: boolean;
}

/** What a change has done. */
export interface ChangeOutcome {
  /** By how much the files are larger now. */
  readonly filesBytes: number;
  /** What is in the trash now under the change's id. */
  readonly trashed?: Pick<TrashRow, "path" | "sizeBytes" | "reason">;
  /** What has left the trash. */
  readonly restoredId?: string;
}

export interface StorageSums {
  readonly filesBytes: number;
  readonly trashBytes: number;
}

/** A change takes no longer than this, or whoever made it is gone. */
export const CHANGE_ENDS_AFTER_MS = 10 * 60_000;
/** What was given up may still reach R2 for so long. */
const GIVEN_UP_ENDS_AFTER_MS = 30_000;
/** Whoever deletes waits for writers that are younger: every call ends within a minute. */
const WRITER_ENDS_AFTER_MS = 60_000;
/** But a link's upload takes what its sender's line takes: whoever writes more than this is waited for to the end. */
const LARGE_BYTES = 1024 * 1024;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS storage (
    id INTEGER PRIMARY KEY CHECK (id = 1), user_id TEXT NOT NULL, files_bytes INTEGER NOT NULL,
    trash_bytes INTEGER NOT NULL, recount_at_ms INTEGER, artifacts_at_ms INTEGER NOT NULL
  );
  CREATE TABLE IF NOT EXISTS changes (
    id TEXT PRIMARY KEY, path TEXT NOT NULL, grows_bytes INTEGER NOT NULL, writes INTEGER NOT NULL,
    began_at_ms INTEGER NOT NULL, given_up_at_ms INTEGER
  ) WITHOUT ROWID;
`;

const storageRecord = z.object({
  user_id: z.string(),
  files_bytes: z.number(),
  trash_bytes: z.number(),
  recount_at_ms: z.number().nullable(),
  artifacts_at_ms: z.number(),
});

const changeRecord = z.object({ id: z.string(), path: z.string(), given_up_at_ms: z.number().nullable() });

const ENDS_AT_MS = `coalesce(given_up_at_ms + ${GIVEN_UP_ENDS_AFTER_MS}, began_at_ms + ${CHANGE_ENDS_AFTER_MS})`;

/**
 * What one person's files and trash come to, and what is in the trash, so that nothing has to be scanned to know it.
 * R2 is the truth: whatever is written here can be made again from it (storage-upkeep.ts).
 */
export class StorageLedger {
  readonly trash: TrashTable;
  readonly #sql: SqlStorage;
  #finished = 0;

  constructor(sql: SqlStorage) {
    this.trash = new TrashTable(sql);
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
    return { filesBytes: Math.max(0, row?.files_bytes ?? 0), trashBytes: Math.max(0, row?.trash_bytes ?? 0) };
  }

  /** Whether the change fits, with all that are under way; from then on it is one of them. */
  begin({ id, path, growsBytes, writes }: FileChange, quotaBytes: number, nowMs: number): boolean {
    const { filesBytes, trashBytes } = this.sums();
    const { growing } = this.#sql.exec("SELECT coalesce(sum(grows_bytes), 0) AS growing FROM changes").one();
    // What does not grow is let through: a person over the quota has to be able to tidy up.
    if (growsBytes > 0 && filesBytes + trashBytes + Number(growing) + growsBytes > quotaBytes) return false;
    this.#sql.exec(
      "INSERT OR IGNORE INTO changes VALUES (?, ?, ?, ?, ?, NULL)",
      ...[id, path, growsBytes, writes ? 1 : 0, nowMs],
    );
    return true;
  }

  finish(id: string, { filesBytes, trashed, restoredId }: ChangeOutcome, nowMs: number): void {
    const isKnown = this.#sql.exec("DELETE FROM changes WHERE id = ? RETURNING id", id).toArray().length > 0;
    if (trashed !== undefined) this.trash.add({ id, ...trashed, atMs: nowMs });
    const restoredBytes = restoredId === undefined ? 0 : this.trash.remove([restoredId]);
    this.#addBytes(filesBytes, (trashed?.sizeBytes ?? 0) - restoredBytes);
    // It took so long that it was looked for, or it is told twice: who knows what is counted already.
    if (!isKnown) this.recountAt(nowMs);
  }

  /** Whoever made the change does not know what came of it, and does nothing more. */
  giveUp(id: string, nowMs: number): void {
    this.#sql.exec("UPDATE changes SET given_up_at_ms = ?, grows_bytes = 0 WHERE id = ?", nowMs, id);
  }

  /** Changes of which nothing more is to be expected. */
  endedChanges(nowMs: number, limit: number): { id: string; path: string; isGivenUp: boolean }[] {
    const rows = this.#sql
      .exec(`SELECT id, path, given_up_at_ms FROM changes WHERE ${ENDS_AT_MS} <= ? LIMIT ?`, nowMs, limit)
      .toArray();
    return rows.map((row) => {
      const { id, path, given_up_at_ms: givenUpAtMs } = changeRecord.parse(row);
      return { id, path, isGivenUp: givenUpAtMs !== null };
    });
  }

  nextEndOfChangeMs(): number | undefined {
    const { at_ms: atMs } = this.#sql.exec(`SELECT min(${ENDS_AT_MS}) AS at_ms FROM changes`).one();
    return typeof atMs === "number" ? atMs : undefined;
  }

  /** What is left of a change that nobody finished is found by counting. */
  dropChange(id: string, nowMs: number): void {
    this.#sql.exec("DELETE FROM changes WHERE id = ?", id);
    this.recountAt(nowMs);
  }

  /** Whether somebody else may be putting a file there right now. */
  isBeingWritten(path: string, exceptId: string, nowMs: number): boolean {
    const rows = this.#sql.exec(
      `SELECT 1 FROM changes WHERE path = ? AND writes = 1 AND id <> ? AND given_up_at_ms IS NULL
         AND (began_at_ms > ? OR grows_bytes > ?)`,
      ...[path, exceptId, nowMs - WRITER_ENDS_AFTER_MS, LARGE_BYTES],
    );
    return rows.toArray().length > 0;
  }

  /** Of versions whose bytes are gone; how many bytes those were. */
  dropTrash(ids: readonly string[]): number {
    const freedBytes = this.trash.remove(ids);
    this.#addBytes(0, -freedBytes);
    return freedBytes;
  }

  dropFiles(bytes: number): void {
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
    return this.#sql.exec("SELECT 1 FROM changes LIMIT 1").toArray().length > 0 ? undefined : this.#finished;
  }

  /** Whether nothing has changed since that moment. */
  isQuietSince(moment: number): boolean {
    return this.quietMoment() === moment;
  }

  /** Puts what was counted in the place of the sums. */
  settle(filesBytes: number): void {
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
    this.#finished += 1;
    this.#sql.exec(
      "UPDATE storage SET files_bytes = files_bytes + ?, trash_bytes = trash_bytes + ?",
      filesBytes,
      trashBytes,
    );
  }
}
