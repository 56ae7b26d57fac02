import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { pipeBothWays } from "../egress/pipe-both-ways.ts";

export type Endpoint = { readonly path: string } | { readonly host: string; readonly port: number };

/**
 * Listens at one end and carries every connection to the other. Chrome has no network of its own: a bridge inside
 * its namespace leads to the egress proxy's socket, and one outside leads to its DevTools. `rewriteStart` is given what
 * a connection says first, and returns what is passed on in its place.
 */
export async function startBridge(
  listenAt: Endpoint,
  leadTo: Endpoint,
  admits?: (peer: Socket) => Promise<boolean>,
  rewriteStart?: (first: string) => string,
): Promise<Server> {
  const carry = async (peer: Socket) => {
    if (admits !== undefined && !(await admits(peer))) {
      peer.destroy();
      return;
    }
    const start = rewriteStart?.(await startOf(peer)) ?? "";
    const far = connect({ ...leadTo, allowHalfOpen: true, noDelay: true });
    if (start !== "") far.write(start, "latin1");
    pipeBothWays(peer, far);
    peer.resume();
  };
  // Both ends may go on after the other has ended, as the proxy's tunnels may.
  const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (peer) => {
    peer.on("error", () => peer.destroy());
    carry(peer).catch(() => peer.destroy());
  });
  server.listen(listenAt);
  await once(server, "listening");
  return server;
}

/** One character for each byte. */
async function startOf(peer: Socket): Promise<string> {
  await once(peer, "readable");
  const first: unknown = peer.read();
  return first instanceof Uint8Array ? String.fromCharCode(...first) : "";
}

/**
 * The start of a WebSocket without the offer to compress it: Chrome takes longer to compress what is on a page than to
 * hand it over as it is.
 */
export function withoutCompression(start: string): string {
  return start.replace(/\r\nsec-websocket-extensions:[^\r\n]*/i, "");
}

export function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The bridge listens on no port.");
  return address.port;
}

/**
 * Whether the process at the other end of a connection on 127.0.0.1 belongs to this process's user, or to root. A
 * loopback port is open to everybody on the machine; the kernel's table says whose socket is knocking.
 */
export async function isOwnPeer(peer: Socket): Promise<boolean> {
  const own = process.getuid?.();
  const ends = `0100007F:${hexPort(peer.remotePort)} 0100007F:${hexPort(peer.localPort)}`;
  const table = await readFile("/proc/net/tcp", "latin1").catch(() => "");
  const row = table.split("\n").find((line) => line.includes(ends));
  return row !== undefined && [own, 0].includes(Number(row.trim().split(/\s+/)[7]));
}

function hexPort(port: number | undefined): string {
  return (port ?? 0).toString(16).toUpperCase().padStart(4, "0");
}
