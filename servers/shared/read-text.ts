/**
 * A body as text, or `undefined` where it is longer than `maxBytes`, whatever Content-Length claims. Up to
 * `maxDrainedBytes` of a longer one are still taken in, so that a client that sends before it listens hears why.
 */
export async function readText(
  body: ReadableStream<Uint8Array> | null,
  maxBytes: number,
  maxDrainedBytes = maxBytes,
): Promise<string | undefined> {
  if (body === null) return "";
  const decoder = new TextDecoder();
  let text = "";
  let size = 0;
  for await (const chunk of body) {
    size += chunk.byteLength;
    if (size > maxDrainedBytes) break;
    text = size > maxBytes ? "" : text + decoder.decode(chunk, { stream: true });
  }
  return size > maxBytes ? undefined : text + decoder.decode();
}
