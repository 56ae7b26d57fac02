import mime from "mime/lite";
import { ToolError } from "../shared/errors.ts";
import { normalizeFolder, normalizePath } from "../shared/paths.ts";

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
  readonly recursive: boolean;
  readonly limit: number;
  readonly cursor?: string;
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
  /** Rejects with `not_found`. `range` is in bytes. */
  read(path: string, range?: { readonly offset: number; readonly length: number }): Promise<FileBody>;
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
  /** What is in the trash, newest first, at most `limit`; `below` keeps it to a file or a folder. */
  listTrash(options: { readonly below?: string; readonly limit: number }): Promise<readonly TrashedFile[]>;
  /** The version `id`, or the newest of `path`, back to where it was. Rejects with `not_found`, and as `copy`. */
  restore(what: { readonly id: string } | { readonly path: string }, options?: PlaceOptions): Promise<FileInfo>;
  /** Removes one version from the trash for good, or all; how many bytes that freed. */
  emptyTrash(id?: string): Promise<{ readonly freedBytes: number }>;
  /** What counts towards the quota, as the ledger has it: nothing is scanned. */
  usage(): Promise<StorageUsage>;
}

/** The prefix of everything that a caller keeps; ends in a slash, so that `u1` never reaches into `u10`. */
export function filesPrefix(userId: string): string {
  return `users/${userId}/files/`;
}

/** Whose files `prefix`, as `filesPrefix` made it, begins. */
export function filesOwner(prefix: string): string {
  const [, userId] = /^users\/([^/]+)\/files\/$/.exec(prefix) ?? [];
  if (userId === undefined) throw new Error("That is nobody's prefix.");
  return userId;
}

/** What a file is by its name: `text/csv`; unknown endings are bytes. */
export function mimeTypeOf(path: string): string {
  return mime.getType(path) ?? "application/octet-stream";
}

export function createFileStore(bucket: R2Bucket, userId: string): FileStore {
  const prefix = filesPrefix(userId);
  const keyOf = (path: string): string => prefix + normalizePath(path);
  const missing = (path: string): ToolError =>
    new ToolError("not_found", `There is no file ${path}; files_list shows what there is.`);

  return {
    prefix,

    list: async ({ folder, recursive, limit, cursor }) => {
      const page = await reach(() =>
        bucket.list({
          prefix: prefix + normalizeFolder(folder),
          limit,
          include: ["httpMetadata"],
          ...(recursive ? {} : { delimiter: "/" }),
          ...(cursor === undefined ? {} : { cursor }),
        }),
      );
      return {
        folders: page.delimitedPrefixes.map((key) => key.slice(prefix.length)),
        files: page.objects.map((object) => infoOf(object, prefix)),
        ...(page.truncated ? { cursor: page.cursor } : {}),
      };
    },

    stat: async (path) => {
      const object = await reach(() => bucket.head(keyOf(path)));
      if (object === null) throw missing(path);
      return infoOf(object, prefix);
    },

    read: async (path, range) => {
      const object = await reach(() => bucket.get(keyOf(path), range === undefined ? {} : { range }));
      if (object === null) throw missing(path);
      // oxlint-disable-next-line typescript/no-unsafe-assignment -- R2 types its body as a stream of any; it is bytes.
      return { ...infoOf(object, prefix), body: object.body };
    },

    write: async (path, content, options = {}) => {
      const key = keyOf(path);
      const object = await reach(() =>
        put(bucket, key, content, {
          httpMetadata: { contentType: options.mimeType ?? mimeTypeOf(key) },
          ...(options.madeBy === undefined ? {} : { customMetadata: { ...options.madeBy } }),
          ...(options.createOnly === true ? { onlyIf: { etagDoesNotMatch: "*" } } : {}),
          ...(options.ifMatch === undefined ? {} : { onlyIf: { etagMatches: options.ifMatch } }),
        }),
      );
      if (object === null) {
        throw new ToolError("conflict", `${path} is not as you expected it; read it again before you write.`);
      }
      return infoOf(object, prefix);
    },

    copy: () => Promise.reject(unbuilt()),
    move: () => Promise.reject(unbuilt()),

    remove: async (path) => {
      await reach(() => bucket.delete(keyOf(path)));
    },

    listTrash: () => Promise.reject(unbuilt()),
    restore: () => Promise.reject(unbuilt()),
    emptyTrash: () => Promise.reject(unbuilt()),
    usage: () => Promise.reject(unbuilt()),
  };
}

function unbuilt(): ToolError {
  return new ToolError("unavailable", "This is being built.");
}

async function put(
  bucket: R2Bucket,
  key: string,
  content: Uint8Array | string | SizedStream,
  options: R2PutOptions,
): Promise<R2Object | null> {
  if (typeof content === "string" || content instanceof Uint8Array) return await bucket.put(key, content, options);
  // R2 takes a stream only with a known length; FixedLengthStream also fails where the body is not that long.
  const { readable, writable } = new FixedLengthStream(content.sizeBytes);
  const refused = new AbortController();
  const piped = content.body.pipeTo(writable, { signal: refused.signal });
  // A body that fails makes the put fail; a put that is refused does not read the body.
  piped.catch(() => undefined);
  const object = await bucket.put(key, readable, options);
  if (object === null) refused.abort();
  else await piped;
  return object;
}

/** Runs one R2 operation and says it in our words where the bucket does not answer. */
async function reach<T>(operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (cause) {
    if (cause instanceof ToolError) throw cause;
    throw new ToolError("unavailable", "The file store did not answer; nothing was changed, try again.", { cause });
  }
}

function infoOf(object: R2Object, prefix: string): FileInfo {
  return {
    path: object.key.slice(prefix.length),
    sizeBytes: object.size,
    mimeType: object.httpMetadata?.contentType ?? mimeTypeOf(object.key),
    modifiedAt: object.uploaded,
    etag: object.etag,
  };
}
