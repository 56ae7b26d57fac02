import { closeSync, openSync, readSync } from "node:fs";

const TABLES = ["/proc/net/tcp", "/proc/net/tcp6"];
/** What listens comes first in them, whatever else is connected. */
const MAX_BYTES = 1024 * 1024;
const LISTENS = "0A";

/** 127.0.0.2 in them, where `egress.mjs` listens and nobody looks for a server. */
const INSIDE_ADDRESS = "0200007F";

/** Whether something takes connections on a port of this network namespace, which has no interface but loopback. */
export function isListening(/** @type {number} */ port) {
  const place = port.toString(16).toUpperCase().padStart(4, "0");
  const entry = new RegExp(`^ *\\d+: (?!${INSIDE_ADDRESS})[0-9A-F]+:${place} [0-9A-F:]+ ${LISTENS} `, "m");
  return TABLES.some((table) => entry.test(beginningOf(table)));
}

function beginningOf(/** @type {string} */ path) {
  const bytes = Buffer.allocUnsafe(MAX_BYTES);
  let size = 0;
  try {
    const file = openSync(path, "r");
    try {
      for (let read = -1; read !== 0 && size < MAX_BYTES; size += read)
        read = readSync(file, bytes, size, MAX_BYTES - size, null);
    } finally {
      closeSync(file);
    }
  } catch {
    // Without IPv6 there is no table of its connections.
  }
  return bytes.toString("latin1", 0, size);
}
