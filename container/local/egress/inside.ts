import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { type InsideHost, INSIDE_SANDBOX, INSIDE_SECRET, insideHost } from "../../../servers/shared/inside-hosts.ts";
import { parseHostAndPort } from "../../../servers/shared/network-policy.ts";

/** How the runtime names the sandbox whose connection follows: its id and the port, namespaces, the end of the line. */
const LINE = /^([a-z0-9][\w-]{0,127}) (\d{1,5})((?: \/proc\/\d{1,10}\/fd\/\d{1,10}){0,2})\n/;
const MAX_LINE_BYTES = 199;
const END_OF_LINE = 10;

/** Of one sandbox, whichever way they come. */
export const MAX_CONNECTIONS_OF_ONE = 256;

/** Where a connection comes from. */
export interface Sender {
  /** The sandbox's id. */
  readonly sandbox: string;
  /** Where programs in it that know no proxy find the names that exist only inside. */
  readonly port: number;
  /**
   * Files of its network and, unless it is root who enters, of the user namespace around that: no connection follows, the
   * proxy is to listen there. Otherwise none.
   */
  readonly namespaces: readonly string[];
}

/**
 * Takes the first line off a connection: the sandbox that it comes from. The runtime writes it, and no sandbox reaches
 * the socket that this is read from. Nothing where it is not there in time.
 */
export async function readSandbox(socket: Socket, withinMs: number): Promise<Sender | undefined> {
  const signal = AbortSignal.timeout(withinMs);
  let bytes = new Uint8Array();
  try {
    while (bytes.length <= MAX_LINE_BYTES && !bytes.includes(END_OF_LINE)) {
      const chunk: unknown = socket.read();
      if (chunk instanceof Uint8Array) bytes = joined(bytes, chunk);
      else if (socket.readableEnded || socket.destroyed) return undefined;
      else await Promise.race([once(socket, "readable", { signal }), once(socket, "close", { signal })]);
    }
  } catch {
    return undefined;
  }
  const text = new TextDecoder("latin1").decode(bytes.subarray(0, MAX_LINE_BYTES));
  const [line, sandbox, port, namespaces = ""] = LINE.exec(text) ?? [];
  if (line === undefined || sandbox === undefined) return undefined;
  if (bytes.length > line.length) socket.unshift(bytes.subarray(line.length));
  return { sandbox, port: Number(port), namespaces: namespaces.split(" ").slice(1) };
}

/** A request for one of the names that exist only inside. */
export interface InsideTarget {
  /** What goes into `Host`: where every program of the sandbox finds it, so that answers can say where to go on. */
  readonly host: string;
  readonly path: string;
  /** What tells the Worker whose it is, in the place of what the sandbox sent under these names. */
  readonly added: Readonly<Record<string, string>>;
}

/** Nothing where it is for anything else. Programs that know no proxy send a path, and say the name in `Host`. */
export function insideTarget(request: IncomingMessage, sender: Sender, secret: string): InsideTarget | undefined {
  const asked = request.url ?? "";
  const [named = "", ...others] = request.headersDistinct["host"] ?? [];
  const { host = "", port = 80 } = others.length === 0 ? (parseHostAndPort(named) ?? {}) : {};
  const url = asked.startsWith("/") ? `http://${host}:${port}${asked}` : asked;
  if (!URL.canParse(url)) return undefined;
  const { protocol, hostname, port: urlPort, username, password, pathname, search } = new URL(url);
  if (!["http:", "ws:"].includes(protocol) || username !== "" || password !== "") return undefined;
  const name = insideHost(hostname, urlPort === "" ? 80 : Number(urlPort));
  if (name === undefined) return undefined;
  return {
    host: withPort(name, urlPort === "" ? sender.port : Number(urlPort)),
    path: pathname + search,
    added: {
      ...{ [INSIDE_SECRET]: secret, [INSIDE_SANDBOX]: sender.sandbox },
      // To compress what stays on one machine takes longer than all the rest of a WebSocket's way.
      "sec-websocket-extensions": "",
    },
  };
}

function withPort(name: InsideHost, port: number): string {
  return port === 80 ? name : `${name}:${port}`;
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(first.length + second.length);
  all.set(first);
  all.set(second, first.length);
  return all;
}
