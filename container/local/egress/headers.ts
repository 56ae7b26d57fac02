import type { IncomingMessage } from "node:http";

/** RFC 9110 §7.6.1: these belong to one connection, and are not passed on. */
const HOP_BY_HOP = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Headers as Node takes them raw: name, value, name, value. */
export type RawHeaders = string[];

/**
 * A request's headers as they go on to `host`, with `added` in place of its own of these names, none where that
 * is empty. A body keeps its framing, since only Node's own parser has decided where it ends.
 */
export function forwardRequestHeaders(
  request: IncomingMessage,
  host: string,
  connection: "close" | "Upgrade",
  added: Readonly<Record<string, string>> = {},
): RawHeaders {
  const replaced = ["host", "expect", "content-length", ...Object.keys(added)];
  const headers = ["Host", host, "Connection", connection, ...endToEnd(request, replaced)];
  for (const [name, value] of Object.entries(added)) if (value !== "") headers.push(name, value);
  const { "transfer-encoding": encoding, "content-length": length } = request.headers;
  if (connection === "Upgrade") headers.push("Upgrade", "websocket");
  else if (encoding !== undefined) headers.push("Transfer-Encoding", "chunked");
  else if (length !== undefined) headers.push("Content-Length", length);
  return headers;
}

export function forwardResponseHeaders(response: IncomingMessage): RawHeaders {
  return endToEnd(response, []);
}

function endToEnd(message: IncomingMessage, without: readonly string[]): RawHeaders {
  const named = (message.headers.connection ?? "").split(",").map((name) => name.trim().toLowerCase());
  const dropped = new Set([...HOP_BY_HOP, ...named, ...without]);
  const kept: RawHeaders = [];
  for (let at = 0; at + 1 < message.rawHeaders.length; at += 2) {
    const [name = "", value = ""] = message.rawHeaders.slice(at, at + 2);
    if (!dropped.has(name.toLowerCase())) kept.push(name, value);
  }
  return kept;
}
