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

/** A caller's durable workspace on R2, under a prefix that comes from the verified caller. */
export interface FileStore {
  /** The caller's key prefix in the bucket, with a slash at its end. */
  readonly prefix: string;
  /** One folder (`recursive: false`) or everything below it, by name. Pages end at `limit`, at most 1,000. */
  list(options: {
    readonly folder: string;
    readonly recursive: boolean;
    readonly limit: number;
    readonly cursor?: string;
  }): Promise<FilePage>;
  /** Rejects with `not_found`. */
  stat(path: string): Promise<FileInfo>;
  /** Rejects with `not_found`. `range` is in bytes. */
  read(path: string, range?: { readonly offset: number; readonly length: number }): Promise<FileBody>;
  write(path: string, content: Uint8Array | string | SizedStream, options?: WriteOptions): Promise<FileInfo>;
  /** Does nothing where there is no such file. */
  remove(path: string): Promise<void>;
}
