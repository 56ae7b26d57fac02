/*
 * Snapshots in R2. Their length is not known before they end, so they go up in parts of one size, two at a time: what
 * is held in memory is the same for any size.
 */

/** R2 takes 10,000 of them, all of one size but the last. */
const PART_BYTES = 8 * 1024 * 1024;
const PARALLEL = 2;
/** What runs in a sandbox decides what comes out of it. */
const MAX_BYTES = 8 * 1024 ** 3;

/** An upload that was begun. Whoever finds it later removes what is left of it. */
export interface Upload {
  readonly key: string;
  /** Absent while it may still fit into one part. */
  readonly uploadId?: string;
}

/**
 * Writes all of a stream, or rejects and leaves what `onUpload` was told last. `onUpload` is called before anything is
 * written.
 */
export async function putSnapshot(
  bucket: R2Bucket,
  key: string,
  stream: ReadableStream<Uint8Array>,
  { onUpload, signal }: { readonly onUpload: (upload: Upload) => void; readonly signal: AbortSignal },
): Promise<{ readonly sizeBytes: number }> {
  onUpload({ key });
  const parts = readParts(stream, signal);
  const first = await parts.next();
  if (first.done === true) throw new Error("The sandbox gave an empty snapshot.");
  if (first.value.length < PART_BYTES) {
    await bucket.put(key, first.value);
    return { sizeBytes: first.value.length };
  }
  const upload = await bucket.createMultipartUpload(key);
  onUpload({ key, uploadId: upload.uploadId });
  const uploaded: Promise<R2UploadedPart>[] = [];
  let sizeBytes = 0;
  const send = (part: Uint8Array): void => {
    const sent = upload.uploadPart(uploaded.length + 1, part);
    // Whoever waits for it hears of it.
    sent.catch(() => undefined);
    uploaded.push(sent);
    sizeBytes += part.length;
  };
  send(first.value);
  for await (const part of parts) {
    await uploaded.at(-PARALLEL);
    if (sizeBytes > MAX_BYTES) throw new Error("The snapshot is larger than any may be.");
    send(part);
  }
  await upload.complete(await Promise.all(uploaded));
  return { sizeBytes };
}

/** Removes what is left of uploads that ended in the middle, and snapshots that nobody needs any more. */
export async function removeLeftovers(
  bucket: R2Bucket,
  upload: Upload | undefined,
  keys: readonly string[],
): Promise<void> {
  if (upload?.uploadId !== undefined) {
    // It may have been completed, or aborted before.
    await bucket
      .resumeMultipartUpload(upload.key, upload.uploadId)
      .abort()
      .catch(() => undefined);
  }
  const all = [...keys, ...(upload === undefined ? [] : [upload.key])];
  if (all.length > 0) await bucket.delete(all);
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
