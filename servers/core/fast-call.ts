import * as z from "zod";
import { callTool } from "./call.ts";
import type { CallPipeline } from "./call.ts";
import { SERVER_INFO, toResult } from "./server.ts";
import { type ServerDefinition, findTool } from "./tool.ts";

const REVISION = "2026-07-28";

const capability = z.strictObject({}).optional();

/**
 * The plainest call there is in 2026-07-28: one in which each field is known, none is extra, and nothing is asked for
 * on the way. Narrower than the SDK's own schemas in every field, so that what passes here passes there.
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
      "io.modelcontextprotocol/clientInfo": z.strictObject({ name: z.string(), version: z.string() }),
      "io.modelcontextprotocol/clientCapabilities": z.strictObject({
        elicitation: capability,
        roots: capability,
        sampling: capability,
      }),
    }),
  }),
});

/**
 * Answers a plain call without the SDK, byte for byte as it would; `undefined` for anything that is the least bit
 * unusual, which is the SDK's to judge.
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
