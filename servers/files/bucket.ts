import mime from "mime/lite";
import { ToolError } from "../shared/errors.ts";
import type { FileInfo, SizedStream } from "./store.ts";

/** What a file is by its name: `text/csv`; unknown endings are bytes. */
export function mimeTypeOf(path: string): string {
  return mime.getType(path) ?? "application/octet-stream";
}

export function infoOf(object: R2Object, prefix: string): FileInfo {
  return {
    path: object.key.slice(prefix.length),
    sizeBytes: object.size,
    mimeType: object.httpMetadata?.contentType ?? mimeTypeOf(object.key),
    modifiedAt: object.uploaded,
    etag: object.etag,
  };
}

export function contentOf(version: R2ObjectBody): SizedStream {
  // oxlint-disable-next-line typescript/no-unsafe-assignment -- R2 types its body as a stream of any; it is bytes.
  return { body: version.body, sizeBytes: version.size };
}

/** Runs one operation of bucket or account and says it in our words where there is no answer. */
export async function reach<T>(operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (cause) {
    if (cause instanceof ToolError) throw cause;
    throw new ToolError("unavailable", "The file store did not answer; nothing was lost, try again.", { cause });
  }
}

/** Up to here a stream is read before it is written, so that a write that somebody else crosses can be repeated. */
const MAX_HELD_BYTES = 1024 * 1024;
const encoder = new TextEncoder();

/** Bytes, where there are few, or a stream. */
export async function hold(content: Uint8Array | string | SizedStream): Promise<Uint8Array | SizedStream> {
  if (typeof content === "string") return encoder.encode(content);
  if (content instanceof Uint8Array) return content;
  if (!Number.isSafeInteger(content.sizeBytes) || content.sizeBytes < 0) {
    throw new TypeError(`A stream cannot have ${content.sizeBytes} bytes.`);
  }
  if (content.sizeBytes > MAX_HELD_BYTES) return content;
  return await readExactly(content);
}

export function sizeOf(content: Uint8Array | SizedStream): number {
  return content instanceof Uint8Array ? content.length : content.sizeBytes;
}

async function readExactly({ body, sizeBytes }: SizedStream): Promise<Uint8Array> {
  const bytes = new Uint8Array(sizeBytes);
  let length = 0;
  for await (const chunk of body) {
    if (length + chunk.length > sizeBytes) throw new TypeError(`The stream has more than ${sizeBytes} bytes.`);
    bytes.set(chunk, length);
    length += chunk.length;
  }
  if (length < sizeBytes) throw new TypeError(`The stream has ${length} bytes instead of ${sizeBytes}.`);
  return bytes;
}

/** Nothing where the condition does not hold. Whole or not at all. */
export async function put(
  bucket: R2Bucket,
  key: string,
  content: Uint8Array | SizedStream,
  options: R2PutOptions,
): Promise<R2Object | null> {
  if (content instanceof Uint8Array) return await bucket.put(key, content, options);
  // R2 takes a stream only with a known length; FixedLengthStream also fails where the body is not that long.
  const { readable, writable } = new FixedLengthStream(content.sizeBytes);
  const unread = new AbortController();
  const piped = content.body.pipeTo(writable, { signal: unread.signal });
  // A body that fails makes the put fail; a put that fails or is refused leaves the body to be let go of.
  piped.catch(() => undefined);
  try {
    const object = await bucket.put(key, readable, options);
    if (object !== null) await piped;
    return object;
  } finally {
    unread.abort();
  }
}
