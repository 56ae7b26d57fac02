import type { SizedStream } from "./store.ts";

/** A file that is written in several steps is written within this time of the step before. */
const STEP_MS = 60_000;

/**
 * Whether `old` may be a step on the way to what is written: by the same maker, a moment ago, and not longer. A shell's
 * redirection leaves one for each command that writes to it. Only one that the new content begins with is one.
 */
export function mayBeStep(old: R2Object, sizeBytes: number, metadata: Record<string, string> = {}): boolean {
  const { by } = metadata;
  const isOwn = by !== undefined && old.customMetadata?.["by"] === by;
  return isOwn && old.size <= sizeBytes && Date.now() - old.uploaded.getTime() < STEP_MS && isHash(old.etag);
}

/** Whether the content begins with all of `old`. */
export async function beginsWith(content: Uint8Array, old: R2Object): Promise<boolean> {
  if (content.length < old.size || !isHash(old.etag)) return false;
  const digest = await crypto.subtle.digest("MD5", content.subarray(0, old.size));
  return new Uint8Array(digest).toHex() === old.etag;
}

/** The same stream, which waits for `look` where it turns out not to begin with all of `old`. */
export function watchBeginning(
  { body, sizeBytes }: SizedStream,
  old: R2Object,
  look: () => Promise<void>,
): SizedStream {
  const digest = new crypto.DigestStream("MD5");
  const writer = digest.getWriter();
  let missing = old.size;
  const watched = new TransformStream<Uint8Array, Uint8Array>({
    transform: async (chunk, controller) => {
      if (missing > 0) {
        const part = chunk.slice(0, missing);
        await writer.write(part);
        missing -= part.length;
        if (missing === 0) {
          await writer.close();
          if (new Uint8Array(await digest.digest).toHex() !== old.etag) await look();
        }
      }
      controller.enqueue(chunk);
    },
  });
  return { body: body.pipeThrough(watched), sizeBytes };
}

/** The etag of what came in parts is none. */
function isHash(etag: string): boolean {
  return /^[0-9a-f]{32}$/.test(etag);
}
