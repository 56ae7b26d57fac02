import { type McpServerFactory, createMcpHandler } from "@modelcontextprotocol/server";
import { readText } from "../shared/read-text.ts";
import { SILENCE_MS, isModernCall } from "./lasting-answer.ts";

/** The largest request body; larger files come in through links. */
export const MAX_BODY_BYTES = 16 * 1024 * 1024;

/** How much of a body that is too large is read, unkept: a client that still sends would lose the answer. */
const MAX_DRAINED_BYTES = 128 * 1024 * 1024;

export interface Origins {
  /** `https://pincer.example.com`, or the loopback origin of local mode. */
  readonly publicUrl: URL;
  /** Local mode: the same port under every name of this machine, and pages of this machine as browser clients. */
  readonly isLocal: boolean;
}

const LOOPBACK_NAMES = ["localhost", "127.0.0.1", "[::1]"];

/**
 * Refuses a request that a stranger's page may have made: a Host that is not ours (DNS rebinding) or an Origin that
 * is neither ours nor, in local mode, a page of this machine. Nothing where the request may go on.
 */
export function refuseStranger(request: Request, { publicUrl, isLocal }: Origins): Response | undefined {
  const host = hostOf(request);
  // A URL, and so a Host, names no port where it is the protocol's own.
  const port = publicUrl.port === "" ? "" : `:${publicUrl.port}`;
  const ourHosts = isLocal ? LOOPBACK_NAMES.map((name) => name + port) : [publicUrl.host];
  if (!ourHosts.includes(host.toLowerCase())) {
    return problem(421, `This is ${publicUrl.host}, not the host that you asked for.`);
  }
  const origin = request.headers.get("Origin");
  if (origin === null || origin === publicUrl.origin) return undefined;
  if (isLocal && URL.canParse(origin) && LOOPBACK_NAMES.includes(new URL(origin).hostname)) return undefined;
  return problem(403, "Pages of other origins may not call this server.");
}

/** The host that a request was sent to. */
export function hostOf(request: Request): string {
  return request.headers.get("Host") ?? new URL(request.url).host;
}

export type ParsedBody =
  | { readonly ok: true; readonly body: unknown }
  | { readonly ok: false; readonly response: Response };

/** Reads a JSON-RPC body within `MAX_BODY_BYTES`. */
export async function readJsonRpc(request: Request): Promise<ParsedBody> {
  const isShort = Number(request.headers.get("Content-Length") ?? Number.NaN) <= MAX_BODY_BYTES;
  // HTTP holds a body to its declared length: only a long one, or one without a length, is counted as it comes in.
  const text = isShort ? await request.text() : await readText(request.body, MAX_BODY_BYTES, MAX_DRAINED_BYTES);
  if (text === undefined || text.length > MAX_BODY_BYTES) {
    const message = `The body is over ${MAX_BODY_BYTES} bytes; send large files in parts.`;
    return { ok: false, response: rpcProblem(413, -32600, message) };
  }
  try {
    return { ok: true, body: JSON.parse(text) };
  } catch {
    return { ok: false, response: rpcProblem(400, -32700, "Parse error: the body is not JSON.") };
  }
}

/**
 * Serves one MCP request of either era with the server that `factory` makes. The product and the conformance
 * fixture share this configuration. Host and Origin have been checked; `body` is the parsed JSON of a POST.
 */
export async function serveMcp(request: Request, body: unknown, factory: McpServerFactory): Promise<Response> {
  const handler = createMcpHandler(factory, isModernCall(request) ? { keepAliveMs: SILENCE_MS } : {});
  return await handler.fetch(request, request.method === "POST" ? { parsedBody: body } : {});
}

/** Lets the page at `origin`, already accepted by `refuseStranger`, read the response (Fetch standard, CORS). */
export function withCors(response: Response, request: Request): Response {
  const origin = request.headers.get("Origin");
  if (origin === null) return response;
  const shared = new Response(response.body, response);
  shared.headers.set("Access-Control-Allow-Origin", origin);
  shared.headers.set("Access-Control-Expose-Headers", "WWW-Authenticate, Mcp-Session-Id");
  shared.headers.append("Vary", "Origin");
  return shared;
}

/** The answer to a CORS preflight of an accepted origin. */
export function preflight(request: Request): Response {
  return withCors(
    new Response(null, {
      status: 204,
      headers: {
        "Access-Control-Allow-Methods": "GET, POST, DELETE, OPTIONS",
        "Access-Control-Allow-Headers":
          "Authorization, Content-Type, Accept, MCP-Protocol-Version, Mcp-Method, Mcp-Name, Mcp-Session-Id, Last-Event-ID",
        "Access-Control-Max-Age": "600",
      },
    }),
    request,
  );
}

/** A plain refusal outside JSON-RPC. */
export function problem(status: number, message: string): Response {
  return Response.json({ error: message }, { status, headers: { "Cache-Control": "no-store" } });
}

function rpcProblem(status: number, code: number, message: string): Response {
  return Response.json({ jsonrpc: "2.0", error: { code, message }, id: null }, { status });
}
