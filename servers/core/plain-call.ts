import * as z from "zod";
import { callTool } from "./call.ts";
import type { CallPipeline } from "./call.ts";
import { SERVER_INFO, toResult } from "./server.ts";
import { type ServerDefinition, findTool } from "./tool.ts";

const REVISION = "2026-07-28";

/** The body was JSON: whatever is in an object of it is JSON too. */
const json = z.record(z.string(), z.unknown()).optional();

const clientInfo = z.strictObject({
  name: z.string(),
  title: z.string().optional(),
  version: z.string(),
  description: z.string().optional(),
  websiteUrl: z.string().optional(),
});

const clientCapabilities = z.strictObject({
  roots: z.strictObject({ listChanged: z.boolean().optional() }).optional(),
  sampling: z.strictObject({ tools: json, context: json }).optional(),
  elicitation: z
    .strictObject({ form: z.strictObject({ applyDefaults: z.boolean().optional() }).optional(), url: json })
    .optional(),
  experimental: z.record(z.string(), z.record(z.string(), z.unknown())).optional(),
  extensions: z.record(z.string(), z.record(z.string(), z.unknown())).optional(),
});

/**
 * The plainest call there is in 2026-07-28: each field is known, none is extra, and nothing is asked for on the way.
 * Narrower than the SDK's own schemas in every field, so that what passes here passes there.
 */
const plainCall = z.strictObject({
  jsonrpc: z.literal("2.0"),
  id: z.union([z.string(), z.int()]),
  method: z.literal("tools/call"),
  params: z.strictObject({
    name: z.string().regex(/^[a-z0-9_]+$/),
    arguments: z.record(z.string(), z.unknown()).optional(),
    _meta: z.strictObject({
      "io.modelcontextprotocol/protocolVersion": z.literal(REVISION),
      "io.modelcontextprotocol/clientInfo": clientInfo.optional(),
      "io.modelcontextprotocol/clientCapabilities": clientCapabilities,
    }),
  }),
});

/**
 * Answers a plain call byte for byte as the SDK would, in half the time: the SDK's way for each request takes longer
 * than most calls do. `undefined` for anything that is the least bit unusual, which is the SDK's to judge. Its tests
 * hold both answers side by side, so that a new version of the SDK that answers otherwise is noticed.
 */
export async function answerPlainCall(
  request: Request,
  body: unknown,
  servers: readonly ServerDefinition[],
  pipeline: CallPipeline,
): Promise<Response | undefined> {
  const { headers } = request;
  if (headers.get("MCP-Protocol-Version") !== REVISION || headers.get("Content-Type") !== "application/json") {
    return undefined;
  }
  const parsed = plainCall.safeParse(body);
  if (!parsed.success) return undefined;
  const { id, method, params } = parsed.data;
  if (headers.get("Mcp-Method") !== method || headers.get("Mcp-Name") !== params.name) return undefined;
  const tool = findTool(servers, params.name);
  if (tool === undefined) return undefined;
  const watch = { signal: request.signal, reportProgress: () => undefined };
  const { _meta, ...result } = toResult(await callTool(tool, params.arguments ?? {}, pipeline, watch));
  const stamped = { ..._meta, "io.modelcontextprotocol/serverInfo": SERVER_INFO };
  const answer = { result: { _meta: stamped, ...result, resultType: "complete" }, jsonrpc: "2.0", id };
  return new Response(JSON.stringify(answer), { headers: { "Content-Type": "application/json" } });
}
