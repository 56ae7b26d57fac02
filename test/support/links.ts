import { createHash } from "node:crypto";

/** What the upload page cuts files into. */
const PART_BYTES = 32 * 1024 * 1024;

/** Sends so many bytes by an upload link, in parts, without ever holding more than one; their SHA-256. */
export async function uploadInParts(url: string, sizeBytes: number): Promise<string> {
  const hash = createHash("sha256");
  const id = (await send(`${url}?uploads&size=${sizeBytes}`, "POST")).trim();
  for (let start = 0, number = 1; start < sizeBytes; start += PART_BYTES, number += 1) {
    const part = new Uint8Array(Math.min(PART_BYTES, sizeBytes - start)).fill(number % 251);
    hash.update(part);
    await send(`${url}?upload=${id}&part=${number}`, "PUT", part);
  }
  await send(`${url}?upload=${id}&complete`, "POST");
  return hash.digest("hex");
}

async function send(url: string, method: string, body?: Uint8Array<ArrayBuffer>): Promise<string> {
  const response = await fetch(url, { method, ...(body === undefined ? {} : { body }) });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${response.status}: ${text}`);
  return text;
}

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
