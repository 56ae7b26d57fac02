/** Bytes without `Buffer`, whose type is lost where Cloudflare's types are around too. */
export type Bytes = Uint8Array;

export const NO_BYTES = new Uint8Array();

export function concatBytes(parts: readonly Bytes[]): Bytes {
  if (parts.length === 1 && parts[0] !== undefined) return parts[0];
  const whole = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Bytes of its own: what is read from a pipe is written over by what comes next. */
export function copyBytes(bytes: Bytes): Bytes {
  return new Uint8Array(bytes);
}

/**
 * Gives the memory of bytes back at once, which nobody may use any more: where hundreds of megabytes pass, most of the
 * time would be spent on looking for what is garbage.
 */
export function release(bytes: Bytes): void {
  const { buffer, byteLength } = bytes;
  // Other bytes may lie in the same memory.
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}

export function encode(text: string): Bytes {
  return new TextEncoder().encode(text);
}

/** Text, with a mark where the bytes are none. */
export function decode(bytes: Bytes): string {
  return new TextDecoder("utf-8", { ignoreBOM: true, fatal: false }).decode(bytes);
}
