import { type IncomingMessage, type OutgoingHttpHeaders, request } from "node:http";
import { Readable } from "node:stream";
import { text as readAll } from "node:stream/consumers";

/** One HTTP request as a client with no manners may send it. */
export interface RawRequest {
  readonly method?: string;
  /** Set as they are, Host and Origin too. */
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: string | Readable;
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly text: string;
}

/** Sends the request and reads the answer, also one that comes before the body is through. */
export async function sendRaw(url: URL, { method = "POST", headers = {}, body = "" }: RawRequest): Promise<RawAnswer> {
  const outgoing = request(url.href, { method, headers, agent: false });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.once("response", resolve);
    outgoing.on("error", reject);
  });
  const stream = typeof body === "string" ? Readable.from([body]) : body;
  stream.pipe(outgoing);
  try {
    const incoming = await answered;
    return { status: incoming.statusCode ?? 0, headers: incoming.headers, text: await readAll(incoming) };
  } finally {
    stream.destroy();
    outgoing.destroy();
  }
}

/** The headers of an MCP request of the 2025 revisions. */
export function mcpHeaders(token: string): OutgoingHttpHeaders {
  return {
    Authorization: `Bearer ${token}`,
    "Content-Type": "application/json",
    Accept: "application/json, text/event-stream",
    "MCP-Protocol-Version": "2025-11-25",
  };
}
