import { createHash } from "node:crypto";

/** Reads all that a link gives, and keeps none of it; its SHA-256 and how much it was. */
export async function downloadDigest(url: string): Promise<{ readonly sha256: string; readonly sizeBytes: number }> {
  const response = await fetch(url);
  if (!response.ok || response.body === null) throw new Error(`GET ${response.status}: ${await response.text()}`);
  const hash = createHash("sha256");
  let sizeBytes = 0;
  // Its type is any beside Cloudflare's types.
  const body: AsyncIterable<unknown> = response.body;
  for await (const chunk of body) {
    if (!(chunk instanceof Uint8Array)) throw new Error("A body is bytes.");
    hash.update(chunk);
    sizeBytes += chunk.length;
  }
  return { sha256: hash.digest("hex"), sizeBytes };
}
