import * as z from "zod";
import type { Chore } from "./chores.ts";

/** A file that comes in by a link in parts, kept aside in the bucket until it is whole. */
export interface OpenUpload {
  readonly id: string;
  readonly linkId: string;
  /** Where its parts are, and the bucket's own name for them. */
  readonly key: string;
  readonly bucketUploadId: string;
  /** Where it goes when it is whole. */
  readonly path: string;
  /** What it takes, or may take, of the person's room until then. */
  readonly sizeBytes: number;
  readonly startedAtMs: number;
}

export interface UploadedPart {
  readonly number: number;
  readonly etag: string;
}

export type Reservation = "reserved" | "no_room" | "too_many";

/** Uploads of one person that are under way at one time. */
export const MAX_OPEN_UPLOADS = 50;

/** How long an upload may take; what is left of it then is removed. */
const KEPT_MS = 24 * 60 * 60 * 1_000;
const RETRY_MS = 60 * 60 * 1_000;
/** An alarm ends within its time, however many there are. */
const MAX_ENDED_AT_ONCE = 50;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS uploads (
    id TEXT PRIMARY KEY, link_id TEXT NOT NULL, key TEXT NOT NULL, bucket_upload_id TEXT NOT NULL, path TEXT NOT NULL,
    size_bytes INTEGER NOT NULL, started_at_ms INTEGER NOT NULL, due_at_ms INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS upload_parts (
    upload_id TEXT NOT NULL, number INTEGER NOT NULL, etag TEXT NOT NULL, PRIMARY KEY (upload_id, number)
  ) WITHOUT ROWID;
`;

const uploadRecord = z
  .object({
    id: z.string(),
    link_id: z.string(),
    key: z.string(),
    bucket_upload_id: z.string(),
    path: z.string(),
    size_bytes: z.number(),
    started_at_ms: z.number(),
  })
  .transform((row): OpenUpload => ({
    id: row.id,
    linkId: row.link_id,
    key: row.key,
    bucketUploadId: row.bucket_upload_id,
    path: row.path,
    sizeBytes: row.size_bytes,
    startedAtMs: row.started_at_ms,
  }));

const partRecord = z.object({ number: z.number(), etag: z.string() });

/** The uploads of one person that are not done. Those that nobody finishes are removed from the bucket a day later. */
export class UploadRows implements Chore {
  readonly name = "end uploads that nobody finished";
  readonly #sql: SqlStorage;
  readonly #bucket: R2Bucket;

  constructor(sql: SqlStorage, bucket: R2Bucket) {
    this.#sql = sql;
    this.#bucket = bucket;
    this.#sql.exec(SCHEMA);
  }

  /** Makes the upload, or gives it another size, where all that is under way fits into `roomBytes`. */
  reserve(upload: OpenUpload, roomBytes: number): Reservation {
    const others = this.#sql
      .exec("SELECT count(*) AS count, coalesce(sum(size_bytes), 0) AS bytes FROM uploads WHERE id <> ?", upload.id)
      .one();
    if (Number(others["count"]) >= MAX_OPEN_UPLOADS) return "too_many";
    if (Number(others["bytes"]) + upload.sizeBytes > roomBytes) return "no_room";
    const { id, linkId, key, bucketUploadId, path, sizeBytes, startedAtMs } = upload;
    this.#sql.exec(
      "INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
      ...[id, linkId, key, bucketUploadId, path, sizeBytes, startedAtMs, startedAtMs + KEPT_MS],
    );
    return "reserved";
  }

  /** With its parts, by number. An upload of another link is none. */
  find(id: string, linkId: string): { readonly upload: OpenUpload; readonly parts: UploadedPart[] } | undefined {
    const [row] = this.#sql.exec("SELECT * FROM uploads WHERE id = ? AND link_id = ?", id, linkId).toArray();
    if (row === undefined) return undefined;
    const parts = this.#sql
      .exec("SELECT number, etag FROM upload_parts WHERE upload_id = ? ORDER BY number", id)
      .toArray();
    return { upload: uploadRecord.parse(row), parts: parts.map((part) => partRecord.parse(part)) };
  }

  addPart(id: string, { number, etag }: UploadedPart): void {
    this.#sql.exec("INSERT OR REPLACE INTO upload_parts VALUES (?, ?, ?)", id, number, etag);
  }

  /** Forgets it; what it has in the bucket is the caller's to remove. */
  end(id: string): void {
    this.#sql.exec("DELETE FROM uploads WHERE id = ?", id);
    this.#sql.exec("DELETE FROM upload_parts WHERE upload_id = ?", id);
  }

  /** Makes what has come in by that link due for removal. */
  dropThoseOf(linkId: string): void {
    this.#sql.exec("UPDATE uploads SET due_at_ms = started_at_ms WHERE link_id = ?", linkId);
  }

  /** When `run` has something to do next. */
  dueAtMs(): number | undefined {
    const { due } = this.#sql.exec("SELECT min(due_at_ms) AS due FROM uploads").one();
    return due === null ? undefined : Number(due);
  }

  /** Removes what was left lying. What the bucket does not let go of is tried again in an hour. */
  async run(nowMs: number): Promise<void> {
    const rows = this.#sql
      .exec("SELECT * FROM uploads WHERE due_at_ms <= ? LIMIT ?", nowMs, MAX_ENDED_AT_ONCE)
      .toArray();
    for (const row of rows) {
      const upload = uploadRecord.parse(row);
      if (await removeFromBucket(this.#bucket, upload)) this.end(upload.id);
      else this.#sql.exec("UPDATE uploads SET due_at_ms = ? WHERE id = ?", nowMs + RETRY_MS, upload.id);
    }
  }
}

/** Whether nothing is left of the upload in the bucket, neither parts nor the whole that was made of them. */
export async function removeFromBucket(
  bucket: R2Bucket,
  { key, bucketUploadId }: Pick<OpenUpload, "key" | "bucketUploadId">,
): Promise<boolean> {
  try {
    await bucket
      .resumeMultipartUpload(key, bucketUploadId)
      .abort()
      .catch((failure: unknown) => {
        if (!isUnknownUpload(failure)) throw failure;
      });
    await bucket.delete(key);
    return true;
  } catch {
    return false;
  }
}

/** R2's 10024: the parts were put together already, or given up. */
function isUnknownUpload(failure: unknown): boolean {
  return failure instanceof Error && failure.message.includes("(10024)");
}
