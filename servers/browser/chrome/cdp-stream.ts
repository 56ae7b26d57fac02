import type { CDPSession } from "@cloudflare/puppeteer";

/** Of a message from Chrome, before it is made base64. */
const CHUNK_BYTES = 1024 * 1024;

/** A stream of CDP's. */
export interface Source {
  readonly session: CDPSession;
  readonly handle: string;
}

/** The chunks as a stream of bytes. */
export function streamOf(
  chunks: Iterator<Uint8Array, undefined> | AsyncIterator<Uint8Array, undefined>,
): ReadableStream<Uint8Array> {
  return new ReadableStream({
    type: "bytes",
    pull: async (controller) => {
      const { done, value } = await chunks.next();
      if (done === true) controller.close();
      else controller.enqueue(value);
    },
  });
}

/** What a stream of Chrome's holds, from where it was read last. */
export async function* readAll({ session, handle }: Source): AsyncGenerator<Uint8Array<ArrayBuffer>, undefined> {
  try {
    for (;;) {
      const { data, base64Encoded, eof } = await session.send("IO.read", { handle, size: CHUNK_BYTES });
      const bytes = base64Encoded === true ? Uint8Array.fromBase64(data) : new TextEncoder().encode(data);
      if (bytes.byteLength > 0) yield new Uint8Array(bytes);
      if (eof) return undefined;
    }
  } finally {
    session.send("IO.close", { handle }).catch(() => undefined);
  }
}
