import { randomHex } from "../../auth/secrets.ts";
import type { Account } from "../account/account.ts";
import { MAX_OPEN_UPLOADS, type OpenUpload, type UploadedPart, removeFromBucket } from "../account/uploads.ts";
import { ToolError } from "../shared/errors.ts";
import { uploadsPrefix } from "../shared/paths.ts";
import { contentOf, reach } from "./bucket.ts";
import { GONE } from "./link-answers.ts";
import type { FileInfo, FileStore, SizedStream } from "./store.ts";

/** How long each part is but the last: R2 takes nothing else, and Cloudflare no request over 100 MB. */
export const PART_BYTES = 32 * 1024 * 1024;
/** R2 puts at most 5 GiB into place at once. */
export const MAX_UPLOAD_BYTES = 4 * 1024 ** 3;
/** Of a body whose length nobody knows, so much is held at a time; R2 takes no part under 5 MiB but the last. */
const CHUNK_BYTES = 8 * 1024 * 1024;
/** A body of known length is held up to this, and above it kept in the bucket until it is whole. */
const MAX_HELD_BYTES = 1024 * 1024;

/** An upload that is under way, and what of it has arrived. */
export interface StagedUpload {
  readonly upload: OpenUpload;
  readonly parts: readonly UploadedPart[];
}

/**
 * Files on their way in by one link. Parts are kept beside the person's files, where nobody sees them, until all are
 * there: then the whole is written as any file is, so that it appears at once, counts, and loses nothing that it
 * replaces. The price is one copy inside R2.
 */
export class Staging {
  readonly #bucket: R2Bucket;
  readonly #files: FileStore;
  readonly #account: DurableObjectStub<Account>;
  readonly #from: { readonly userId: string; readonly linkId: string; readonly now: () => Date };

  constructor(
    bucket: R2Bucket,
    files: FileStore,
    account: DurableObjectStub<Account>,
    from: { readonly userId: string; readonly linkId: string; readonly now: () => Date },
  ) {
    this.#bucket = bucket;
    this.#files = files;
    this.#account = account;
    this.#from = from;
  }

  /** Rejects with `limit_reached` where it would not fit beside all that is kept and under way. */
  async begin(path: string, sizeBytes: number): Promise<OpenUpload> {
    const { userId, linkId, now } = this.#from;
    const id = randomHex(16);
    const key = uploadsPrefix(userId) + id;
    // Should all end before the row is written, R2 itself gives the parts up, after a week.
    const { uploadId: bucketUploadId } = await reach(() => this.#bucket.createMultipartUpload(key));
    const upload = { id, linkId, key, bucketUploadId, path, sizeBytes, startedAtMs: now().getTime() };
    try {
      await this.#reserve(upload);
    } catch (failure) {
      await removeFromBucket(this.#bucket, upload);
      throw failure;
    }
    return upload;
  }

  async #reserve(upload: OpenUpload): Promise<void> {
    const { quotaBytes, filesBytes, trashBytes } = await this.#files.usage();
    const reservation = await this.#account.reserveUpload(upload, quotaBytes - filesBytes - trashBytes);
    if (reservation === "too_many") {
      throw new ToolError("limit_reached", `${MAX_OPEN_UPLOADS} uploads are under way; finish some of them first.`);
    }
    if (reservation === "no_room") {
      throw noRoom();
    }
  }

  /** Rejects with `not_found` for what is done, was given up or came in by another link. */
  async find(id: string): Promise<StagedUpload> {
    const found = await this.#account.findUpload(id, this.#from.linkId);
    if (found === undefined) throw new ToolError("not_found", "There is no such upload under way; begin a new one.");
    return found;
  }

  /** The same part given twice is the later one. */
  async putPart(upload: OpenUpload, number: number, body: ReadableStream | Uint8Array): Promise<void> {
    const part = await reach(() =>
      this.#bucket.resumeMultipartUpload(upload.key, upload.bucketUploadId).uploadPart(number, body),
    );
    await this.#account.addUploadPart(upload.id, { number, etag: part.etag });
  }

  /** Puts the file in its place. Cut off at any moment, it can be called again. */
  async complete({ upload, parts }: StagedUpload): Promise<FileInfo> {
    await this.#join(upload, parts);
    await this.#assertOpen();
    const whole = await reach(() => this.#bucket.get(upload.key));
    if (whole === null) throw new ToolError("not_found", "There is no such upload under way; begin a new one.");
    const file = await this.#write(upload.path, contentOf(whole));
    await this.remove(upload);
    return file;
  }

  async #join(upload: OpenUpload, parts: readonly UploadedPart[]): Promise<void> {
    const list = parts.map(({ number, etag }) => ({ partNumber: number, etag }));
    try {
      await this.#bucket.resumeMultipartUpload(upload.key, upload.bucketUploadId).complete(list);
    } catch (cause) {
      // Where they were joined before, and all ended then, the whole is there.
      const whole = await reach(() => this.#bucket.head(upload.key));
      if (whole === null) throw new ToolError("unavailable", "The parts could not be joined; try again.", { cause });
    }
  }

  /** Gives it up, or forgets what is in its place by now. What the bucket does not let go of, the alarm removes. */
  async remove(upload: OpenUpload): Promise<void> {
    if (await removeFromBucket(this.#bucket, upload)) await this.#account.endUpload(upload.id);
  }

  /**
   * Takes a whole body, whether it says how long it is or not. It may take its sender hours to come in: it holds up
   * nothing of the person's meanwhile, and whether the link still works is asked again when all of it is there.
   */
  async receive(path: string, body: ReadableStream, sizeBytes?: number): Promise<FileInfo> {
    if (sizeBytes !== undefined && sizeBytes > MAX_HELD_BYTES) {
      return await this.#receiveAside(path, sizeBytes, async (upload) => await this.putPart(upload, 1, body));
    }
    const reader = body.getReader({ mode: "byob" });
    const first = await readPiece(reader, sizeBytes ?? CHUNK_BYTES);
    if (first.length < CHUNK_BYTES) {
      await this.#assertOpen();
      return await this.#write(path, first);
    }
    return await this.#receiveAside(path, CHUNK_BYTES, async (upload) => {
      await this.#receiveParts(upload, first, reader);
    });
  }

  async #receiveAside(
    path: string,
    sizeBytes: number,
    receiveParts: (upload: OpenUpload) => Promise<void>,
  ): Promise<FileInfo> {
    const upload = await this.begin(path, sizeBytes);
    try {
      await receiveParts(upload);
      return await this.complete(await this.find(upload.id));
    } catch (failure) {
      await this.remove(upload);
      throw failure;
    }
  }

  async #receiveParts(upload: OpenUpload, first: Uint8Array, reader: ReadableStreamBYOBReader): Promise<void> {
    let sizeBytes = 0;
    let number = 0;
    for (let piece = first; piece.length > 0; piece = await readPiece(reader, CHUNK_BYTES)) {
      number += 1;
      sizeBytes += piece.length;
      if (sizeBytes > MAX_UPLOAD_BYTES) {
        throw new ToolError("too_large", `A file may have ${MAX_UPLOAD_BYTES} bytes; send it in several.`);
      }
      await this.#reserve({ ...upload, sizeBytes });
      await this.putPart(upload, number, piece);
      if (piece.length < CHUNK_BYTES) break;
    }
  }

  /** A link may have been revoked, or have expired, while its file came in. */
  async #assertOpen(): Promise<void> {
    const { linkId, now } = this.#from;
    const link = await this.#account.findLink(linkId);
    if (link === undefined || link.expiresAtMs <= now().getTime()) throw new ToolError("not_found", GONE);
  }

  async #write(path: string, content: Uint8Array | SizedStream): Promise<FileInfo> {
    try {
      return await this.#files.write(path, content, { madeBy: { link: this.#from.linkId } });
    } catch (failure) {
      // How full the workspace is, the link's holder is not to know.
      throw failure instanceof ToolError && failure.code === "limit_reached" ? noRoom() : failure;
    }
  }
}

function noRoom(): ToolError {
  return new ToolError("limit_reached", "There is no room for a file of that size; ask for some to be made.");
}

/** So many bytes, or, at the end of the body, what is left of it. */
async function readPiece(reader: ReadableStreamBYOBReader, bytes: number): Promise<Uint8Array> {
  try {
    const { value } = await reader.readAtLeast(bytes, new Uint8Array(bytes));
    return value ?? new Uint8Array();
  } catch (cause) {
    throw new ToolError("cancelled", "The file did not arrive whole; send it again.", { cause });
  }
}
