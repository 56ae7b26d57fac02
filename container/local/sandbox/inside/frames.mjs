/**
 * The wire between the runtime and the agent inside a sandbox: a length, a kind, the number of the call that it
 * belongs to, and bytes. Both sides use this file; the runtime trusts nothing that comes through it.
 */

export const TO_AGENT = /** @type {const} */ ({
  /** JSON: start a process. */
  spawn: 1,
  /** Bytes for its standard input; none ends it. */
  stdin: 2,
  /** Bytes for its control channel. */
  control: 3,
  /** JSON: signal a process, or everything that its call started. */
  kill: 4,
  /** Nobody wants the process's output any more. */
  forget: 5,
  /** JSON: one file operation. */
  file: 6,
  /** Bytes of a file that is being written; none ends it. */
  bytes: 7,
  /** JSON: write to the standard input of a process. */
  input: 8,
  /** JSON: whether something listens on a port. */
  port: 9,
  /** JSON: connect to a port of the sandbox's own. */
  dial: 10,
  /** Bytes for such a connection; none ends them. */
  there: 11,
  /** One more piece of such a connection was taken. */
  taken: 12,
  /** JSON: whether to take connections to the egress proxy. */
  egress: 13,
});

export const FROM_AGENT = /** @type {const} */ ({
  /** JSON: the agent is up. */
  ready: 16,
  stdout: 17,
  stderr: 18,
  control: 19,
  /** JSON: how a process ended. */
  exit: 20,
  /** JSON: a call's answer. */
  done: 21,
  /** JSON: why a call failed. */
  failed: 22,
  /** Bytes of a file that is being read, or of a connection; none ends a connection's. */
  bytes: 23,
  /** A process is there. */
  started: 24,
  /** A connection is there. */
  connected: 25,
  /** One more piece of it was taken. */
  taken: 26,
});

/** How many pieces of a connection may be under way before the other side has taken one. */
export const PIECES_AHEAD = 16;

const HEADER_BYTES = 9;
/** A whole frame. Whoever sends more is broken or hostile. */
export const MAX_FRAME_BYTES = 4 * 1024 * 1024;

/**
 * @param {number} kind
 * @param {number} call
 * @param {Uint8Array | string} content
 */
export function frame(kind, call, content = "") {
  const size = typeof content === "string" ? Buffer.byteLength(content) : content.length;
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + size);
  writeHeader(bytes, kind, call, size);
  if (typeof content === "string") bytes.write(content, HEADER_BYTES);
  else bytes.set(content, HEADER_BYTES);
  return bytes;
}

/** @param {Buffer} bytes @param {number} kind @param {number} call @param {number} size */
function writeHeader(bytes, kind, call, size) {
  bytes.writeUInt32BE(size, 0);
  bytes.writeUInt8(kind, 4);
  bytes.writeUInt32BE(call, 5);
}

/**
 * Writes a frame whose content is not copied, and so may not change any more. As a stream's `write`, false where it has
 * had enough.
 * @param {import("node:stream").Writable} stream
 * @param {number} kind
 * @param {number} call
 * @param {Uint8Array} content
 */
export function writeFrame(stream, kind, call, content) {
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  writeHeader(header, kind, call, content.length);
  if (content.length === 0) return stream.write(header);
  // Both leave together.
  stream.cork();
  stream.write(header);
  const hasRoom = stream.write(content);
  stream.uncork();
  return hasRoom;
}

/**
 * Cuts a byte stream into frames. Throws where a frame says that it is too long.
 * @param {(kind: number, call: number, content: Buffer) => void} onFrame
 */
export function frameReader(onFrame) {
  /** @type {Buffer[]} */
  let pieces = [];
  let have = 0;
  let need = HEADER_BYTES;
  return (/** @type {Buffer} */ chunk) => {
    pieces.push(chunk);
    have += chunk.length;
    if (have < need) return;
    let rest = pieces.length === 1 ? chunk : Buffer.concat(pieces, have);
    need = HEADER_BYTES;
    while (rest.length >= HEADER_BYTES) {
      const size = rest.readUInt32BE(0);
      if (size > MAX_FRAME_BYTES) throw new Error(`A frame of ${size} bytes is too long.`);
      need = HEADER_BYTES + size;
      if (rest.length < need) break;
      onFrame(rest.readUInt8(4), rest.readUInt32BE(5), rest.subarray(HEADER_BYTES, need));
      rest = rest.subarray(need);
      need = HEADER_BYTES;
    }
    pieces = rest.length === 0 ? [] : [rest];
    have = rest.length;
  };
}
