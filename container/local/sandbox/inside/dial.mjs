import { connect } from "node:net";
import { FROM_AGENT, PIECES_AHEAD } from "./frames.mjs";

/** @typedef {{ credit: number, isWanted: boolean, socket?: import("node:net").Socket }} Connection */

/** @type {Map<number, Connection>} */
const connections = new Map();

/**
 * Connects to what listens at the sandbox's own loopback, and passes bytes on both ways. Neither side sends more than
 * the other has taken: a connection that stands still holds up no other.
 * @param {number} call
 * @param {{ port: number }} request
 * @param {import("./process.mjs").Outbox} outbox
 */
export async function dial(call, { port }, outbox) {
  /** @type {Connection} */
  const connection = { credit: PIECES_AHEAD, isWanted: true };
  connections.set(call, connection);
  let socket;
  try {
    socket = await open("127.0.0.1", port).catch(() => open("::1", port));
  } catch (error) {
    connections.delete(call);
    throw error;
  }
  /** @type {NodeJS.ErrnoException | undefined} */
  let failure;
  socket.on("error", (error) => (failure = error));
  socket.on("close", () => {
    connections.delete(call);
    if (failure === undefined) outbox.send(FROM_AGENT.done, call, {});
    else outbox.send(FROM_AGENT.failed, call, { code: failure.code ?? "EUNKNOWN" });
  });
  if (!connection.isWanted) return socket.destroy();
  connection.socket = socket;
  outbox.send(FROM_AGENT.connected, call, {});
  socket.on("data", (bytes) => {
    outbox.send(FROM_AGENT.bytes, call, bytes);
    connection.credit -= 1;
    if (connection.credit <= 0) socket.pause();
  });
  socket.on("end", () => outbox.send(FROM_AGENT.bytes, call, Buffer.alloc(0)));
}

/** @param {string} host @param {number} port @returns {Promise<import("node:net").Socket>} */
function open(host, port) {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, allowHalfOpen: true, noDelay: true });
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve(socket);
    });
  });
}

/** Bytes for what listens; none ends them. @param {number} call @param {Buffer} bytes @param {import("./process.mjs").Outbox} outbox */
export function sendThere(call, bytes, outbox) {
  const socket = connections.get(call)?.socket;
  if (bytes.length === 0) socket?.end();
  // What comes next from the runtime is written over it.
  else socket?.write(Buffer.from(bytes), () => outbox.send(FROM_AGENT.taken, call, {}));
}

/** The runtime has taken a piece. @param {number} call */
export function creditThere(call) {
  const connection = connections.get(call);
  if (connection === undefined) return;
  connection.credit += 1;
  connection.socket?.resume();
}

/** Nobody wants it any more. @param {number} call */
export function hangUp(call) {
  const connection = connections.get(call);
  if (connection === undefined) return;
  connection.isWanted = false;
  connection.socket?.destroy();
}
