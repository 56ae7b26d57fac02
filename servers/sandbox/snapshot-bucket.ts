/*
 * Snapshots in R2, each as objects of one size below its key: their length is not known before they end, and whoever
 * reads one goes on where it was. A few parts at a time are in memory, whatever the size. Multipart uploads would do the
 * same, but what is left of one that was cut off is found with its id alone.
 */

const PART_BYTES = 8 * 1024 * 1024;
const PARALLEL = 2;
/** What runs in a sandbox decides what comes out of it. */
const MAX_PARTS = 1024;

/** Where a snapshot is. */
export interface StoredParts {
  readonly key: string;
  readonly parts: number;
  readonly sizeBytes: number;
}

/** Writes all of a stream, or rejects and leaves some of it. */
export async function putParts(
  bucket: R2Bucket,
  key: string,
  stream: ReadableStream<Uint8Array>,
  signal: AbortSignal,
): Promise<StoredParts> {
  const written: Promise<unknown>[] = [];
  let sizeBytes = 0;
  for await (const part of readParts(stream, signal)) {
    if (written.length === MAX_PARTS) throw new Error("The snapshot is larger than any may be.");
    await written.at(-PARALLEL);
    const put = bucket.put(nameOf(key, written.length), part);
    // Whoever waits for it hears of it.
    put.catch(() => undefined);
    written.push(put);
    sizeBytes += part.length;
  }
  await Promise.all(written);
  if (sizeBytes === 0) throw new Error("The sandbox gave an empty snapshot.");
  return { key, parts: written.length, sizeBytes };
}

/** A snapshot that is said to be there is not, or not all of it. */
export class MissingPart extends Error {}

/** Its parts in order, the next of them on its way. */
export async function* getParts(bucket: R2Bucket, { key, parts }: StoredParts): AsyncGenerator<R2ObjectBody> {
  const get = async (index: number): Promise<R2ObjectBody> => {
    const object = await bucket.get(nameOf(key, index));
    if (object === null) throw new MissingPart(nameOf(key, index));
    return object;
  };
  let next: Promise<R2ObjectBody> | undefined;
  try {
    for (let index = 0; index < parts; index += 1) {
      const part = await (next ?? get(index));
      next = index + 1 < parts ? get(index + 1) : undefined;
      // Whoever takes that part hears of it.
      next?.catch(() => undefined);
      yield part;
    }
  } finally {
    // What nobody takes any more is let go of.
    await next?.then(async ({ body }) => await body.cancel()).catch(() => undefined);
  }
}

/** Writes the same parts under another key. */
export async function copyParts(
  bucket: R2Bucket,
  from: StoredParts,
  key: string,
  signal: AbortSignal,
): Promise<StoredParts> {
  let index = 0;
  for await (const part of getParts(bucket, from)) {
    const bytes = await part.bytes();
    signal.throwIfAborted();
    await bucket.put(nameOf(key, index), bytes);
    index += 1;
  }
  return { key, parts: from.parts, sizeBytes: from.sizeBytes };
}

/** Removes all parts that there are, of a snapshot or below the beginning of its key. */
export async function removeParts(bucket: R2Bucket, key: string): Promise<void> {
  for (;;) {
    const { objects } = await bucket.list({ prefix: `${key}/` });
    if (objects.length === 0) return;
    await bucket.delete(objects.map((object) => object.key));
  }
}

function nameOf(key: string, index: number): string {
  return `${key}/${index.toString().padStart(4, "0")}`;
}

/** Every part but the last is full. */
async function* readParts(stream: ReadableStream<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader({ mode: "byob" });
  const cancel = (): void => void reader.cancel(signal.reason).catch(() => undefined);
  signal.addEventListener("abort", cancel);
  try {
    for (;;) {
      const { value, done } = await reader.readAtLeast(PART_BYTES, new Uint8Array(PART_BYTES));
      signal.throwIfAborted();
      if (value !== undefined && value.length > 0) yield value;
      if (done || value.length < PART_BYTES) return;
    }
  } finally {
    signal.removeEventListener("abort", cancel);
    await reader.cancel().catch(() => undefined);
  }
}
