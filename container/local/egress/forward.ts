import { request as httpRequest, type IncomingMessage, type RequestOptions, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { forwardRequestHeaders, forwardResponseHeaders } from "./headers.ts";
import { pipeBothWays } from "./pipe-both-ways.ts";

export const MAX_HEADER_BYTES = 64 * 1024;

const STATUS_TEXT: Readonly<Record<number, string>> = {
  400: "Bad Request",
  403: "Forbidden",
  408: "Request Timeout",
  431: "Request Header Fields Too Large",
  502: "Bad Gateway",
};

/** Where a checked request goes on to. */
export interface Upstream {
  /** Connected to the checked address. */
  readonly socket: Socket;
  /** What goes into `Host`. */
  readonly host: string;
  readonly path: string;
  /** Headers that replace the client's; an empty one takes the client's away. */
  readonly added?: Readonly<Record<string, string>>;
  readonly idleMs: number;
}

/** Passes a request on and its answer back. */
export function forward(request: IncomingMessage, response: ServerResponse, upstream: Upstream): void {
  const passed = httpRequest({
    ...requestOptions(upstream),
    method: request.method ?? "GET",
    headers: forwardRequestHeaders(request, upstream.host, "close", upstream.added),
  });
  upstream.socket.setTimeout(upstream.idleMs, () => passed.destroy());
  passed.on("response", (answered) => {
    response.writeHead(statusOf(answered), forwardResponseHeaders(answered));
    answered.on("error", () => response.destroy());
    answered.pipe(response);
  });
  passed.on("error", () => {
    if (response.headersSent) response.destroy();
    else
      response
        .writeHead(502, { "content-type": "text/plain; charset=utf-8" })
        .end("The server broke off without an answer; try again.\n");
  });
  response.on("close", () => upstream.socket.destroy());
  if (response.destroyed) upstream.socket.destroy();
  request.on("error", () => passed.destroy());
  request.pipe(passed);
}

/** Passes a WebSocket's opening request on, then its bytes. */
export function forwardUpgrade(request: IncomingMessage, client: Duplex, head: Uint8Array, upstream: Upstream): void {
  const { socket } = upstream;
  const passed = httpRequest({
    ...requestOptions(upstream),
    method: "GET",
    headers: forwardRequestHeaders(request, upstream.host, "Upgrade", upstream.added),
  });
  socket.setTimeout(upstream.idleMs, () => passed.destroy());
  passed.on("upgrade", (answered, _socket, first) => {
    client.write(
      writtenHead(101, ["Connection", "Upgrade", "Upgrade", "websocket", ...forwardResponseHeaders(answered)]),
    );
    client.write(first);
    socket.write(head);
    socket.setTimeout(0);
    pipeBothWays(client, socket, upstream.idleMs);
  });
  passed.on("response", (answered) => {
    client.write(writtenHead(statusOf(answered), ["Connection", "close", ...forwardResponseHeaders(answered)]));
    answered.on("error", () => client.destroy());
    answered.pipe(client);
  });
  passed.on("error", () => client.destroy());
  client.on("close", () => socket.destroy());
  if (client.destroyed) socket.destroy();
  passed.end();
}

/** Answers on a socket that Node's server has let go of. */
export function answer(client: Duplex, status: number, sentence: string): void {
  if (!client.writable) return;
  const body = `${sentence}\n`;
  const headers = [
    "Connection",
    "close",
    "Content-Type",
    "text/plain; charset=utf-8",
    "Content-Length",
    `${new TextEncoder().encode(body).length}`,
  ];
  client.end(`${writtenHead(status, headers)}${body}`);
}

function requestOptions({ socket, path }: Upstream): RequestOptions {
  return { path, setHost: false, maxHeaderSize: MAX_HEADER_BYTES, createConnection: () => socket };
}

/** A status that Node can write: a server may answer `000`. */
function statusOf(answered: IncomingMessage): number {
  const status = answered.statusCode ?? 0;
  return status >= 200 && status <= 999 ? status : 502;
}

/** The head of an answer; the values have passed Node's parser and hold no line break. */
function writtenHead(status: number, headers: readonly string[]): string {
  const lines = [`HTTP/1.1 ${status} ${STATUS_TEXT[status] ?? ""}`];
  for (let at = 0; at + 1 < headers.length; at += 2) lines.push(`${headers[at]}: ${headers[at + 1]}`);
  return `${lines.join("\r\n")}\r\n\r\n`;
}
