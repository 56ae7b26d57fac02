import type { TrashQuery } from "../account/trash-table.ts";
import { ToolError } from "../shared/errors.ts";
import { filesPrefix, normalizePath, trashPrefix } from "../shared/paths.ts";
import { contentOf, hold, infoOf, mimeTypeOf, reach, sizeOf } from "./bucket.ts";
import { type FilesAccount, NOTHING_DONE, type Workplace, change, tellAll } from "./changes.ts";
import { listFolder } from "./listing.ts";
import { copyFile, moveFile } from "./move.ts";
import { place } from "./place.ts";
import { removeFile } from "./remove.ts";
import { emptyTrash, listTrash, restoreFile } from "./trash.ts";

/** One file of a caller's workspace. */
export interface FileInfo {
  readonly path: string;
  readonly sizeBytes: number;
  readonly mimeType: string;
  readonly modifiedAt: Date;
  /** Changes whenever the content does; R2's etag without quotes. */
  readonly etag: string;
}

export interface FileBody extends FileInfo {
  readonly body: ReadableStream<Uint8Array>;
}

export interface FilePage {
  readonly folders: readonly string[];
  readonly files: readonly FileInfo[];
  readonly cursor?: string;
}

export interface WriteOptions {
  readonly mimeType?: string;
  /** Refuse with `conflict` unless the file still has this etag. */
  readonly ifMatch?: string;
  /** Refuse with `conflict` where the file exists. */
  readonly createOnly?: boolean;
  /** What made it; string values of at most 256 characters. */
  readonly madeBy?: Readonly<Record<string, string>>;
  /**
   * It is written step by step: what `madeBy.by` itself wrote there within the last minute, and the content begins with,
   * is no version of its own.
   */
  readonly inSteps?: boolean;
}

/** A body and its exact length: R2 refuses a stream of unknown length. */
export interface SizedStream {
  readonly body: ReadableStream<Uint8Array>;
  readonly sizeBytes: number;
}

/** What a sandbox needs of its caller's files. */
export type MountedFiles = Pick<FileStore, "prefix" | "list" | "stat" | "read" | "write" | "remove">;

export interface ListOptions {
  readonly folder: string;
  /** How the names in the folder begin. */
  readonly namePrefix?: string;
  readonly recursive: boolean;
  readonly limit: number;
  readonly cursor?: string;
}

interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

export interface PlaceOptions {
  /** Whether a file that is there already may be replaced. */
  readonly replace?: boolean;
}

/** A version of a file that was deleted or replaced; it is kept for 30 days. */
export interface TrashedFile {
  readonly id: string;
  readonly path: string;
  readonly sizeBytes: number;
  readonly reason: "deleted" | "replaced";
  readonly trashedAt: Date;
}

export interface StorageUsage {
  readonly filesBytes: number;
  readonly trashBytes: number;
  readonly quotaBytes: number;
}

/** A caller's durable workspace on R2, under a prefix that comes from the verified caller. */
export interface FileStore {
  /** The caller's key prefix in the bucket, with a slash at its end. */
  readonly prefix: string;
  /**
   * One folder (`recursive: false`) or everything below it, by name. Pages end at `limit`, at most 1,000. A `cursor` is
   * a place in the caller's own listing, and no secret: somebody else's leads to nothing of theirs.
   */
  list(options: ListOptions): Promise<FilePage>;
  /** Rejects with `not_found`. */
  stat(path: string): Promise<FileInfo>;
  /** Rejects with `not_found`, and with `invalid_input` where a part begins at the file's end or behind it. */
  read(path: string, range?: ByteRange): Promise<FileBody>;
  /**
   * Writes a whole file or nothing. What it replaces goes to the trash first. Rejects with `conflict` where `options`
   * expect something else, and with `limit_reached` where the caller's quota would be passed.
   */
  write(path: string, content: Uint8Array | string | SizedStream, options?: WriteOptions): Promise<FileInfo>;
  /** Rejects with `not_found`; with `conflict` where `to` exists, unless it may be replaced: that goes to the trash. */
  copy(from: string, to: string, options?: PlaceOptions): Promise<FileInfo>;
  /** As `copy`; `from` is gone when it resolves. Cut off in the middle, it leaves the file at both places. */
  move(from: string, to: string, options?: PlaceOptions): Promise<FileInfo>;
  /** To the trash. Does nothing where there is no such file, or where it no longer has the etag `ifMatch`. */
  remove(path: string, options?: { readonly ifMatch?: string }): Promise<void>;
  /** What is in the trash, newest first. */
  listTrash(query: TrashQuery): Promise<readonly TrashedFile[]>;
  /** The version `id`, or the newest of `path`, back to where it was. Rejects with `not_found`, and as `copy`. */
  restore(what: { readonly id: string } | { readonly path: string }, options?: PlaceOptions): Promise<FileInfo>;
  /** Removes one version from the trash for good, or all; how many bytes that freed. */
  emptyTrash(id?: string): Promise<{ readonly freedBytes: number }>;
  /** What counts towards the quota, as the ledger has it: nothing is scanned. */
  usage(): Promise<StorageUsage>;
}

/** As much of a store as looks and changes nothing: it needs no account. */
export type FileReader = Pick<FileStore, "prefix" | "list" | "stat" | "read">;

export function createFileReader(bucket: R2Bucket, userId: string): FileReader {
  const prefix = filesPrefix(userId);
  const missing = (path: string): ToolError =>
    new ToolError("not_found", `There is no file ${path}; files_list shows what there is.`);

  return {
    prefix,

    list: async (options) => await listFolder(bucket, prefix, options),

    stat: async (path) => {
      const key = prefix + normalizePath(path);
      const object = await reach(() => bucket.head(key));
      if (object === null) throw missing(path);
      return infoOf(object, prefix);
    },

    read: async (path, range) => {
      const key = prefix + normalizePath(path);
      const object = await reach(() => (range === undefined ? bucket.get(key) : readPart(bucket, key, range)));
      if (object === null) throw missing(path);
      return { ...infoOf(object, prefix), body: contentOf(object).body };
    },
  };
}

/** R2 has no part of a file that begins at its end; a file without bytes has its beginning there. */
async function readPart(bucket: R2Bucket, key: string, range: ByteRange): Promise<R2ObjectBody | null> {
  try {
    return await bucket.get(key, { range });
  } catch (cause) {
    const { size } = (await bucket.head(key)) ?? { size: Infinity };
    if (range.offset < size) throw cause;
    if (range.offset === 0) return await bucket.get(key);
    throw new ToolError("invalid_input", `The file has ${size} bytes: read a part that begins before its end.`, {
      cause,
    });
  }
}

interface Keeping {
  /** The same person's as the files. */
  readonly account: FilesAccount;
  /** For what a caller need not wait for. */
  readonly waitUntil: (work: Promise<unknown>) => void;
}

export function createFileStore(bucket: R2Bucket, userId: string, { account, waitUntil }: Keeping): FileStore {
  const reader = createFileReader(bucket, userId);
  const { prefix } = reader;
  const workplace: Workplace = { bucket, userId, files: prefix, trash: trashPrefix(userId), account, waitUntil };

  return {
    ...reader,
    write: async (path, content, options) => await writeFile(workplace, path, content, options),
    copy: async (from, to, options) => await copyFile(workplace, from, to, options),
    move: async (from, to, options) => await moveFile(workplace, from, to, options),
    remove: async (path, options) => await removeFile(workplace, path, options),
    listTrash: async (query) => await listTrash(workplace, query),
    restore: async (what, options) => await restoreFile(workplace, what, options),
    emptyTrash: async (id) => await emptyTrash(workplace, id),
    usage: async () => {
      await tellAll(workplace);
      return await reach(async () => await account.storageState(userId));
    },
  };
}

async function writeFile(
  workplace: Workplace,
  given: string,
  content: Uint8Array | string | SizedStream,
  { mimeType, madeBy, ...condition }: WriteOptions = {},
): Promise<FileInfo> {
  const path = normalizePath(given);
  const held = await reach(async () => await hold(content));
  const metadata = {
    httpMetadata: { contentType: mimeType ?? mimeTypeOf(path) },
    ...(madeBy === undefined ? {} : { customMetadata: { ...madeBy } }),
  };
  const placed = await change(workplace, { path, growsBytes: sizeOf(held), writes: true }, async (id) => {
    const placed = await place(workplace, id, { path, content: held, metadata, ...condition });
    return { value: placed, outcome: placed?.outcome ?? NOTHING_DONE };
  });
  if (placed !== undefined) return infoOf(placed.object, workplace.files);
  throw new ToolError("conflict", `${path} is not as you expected it; read it again before you write.`);
}
