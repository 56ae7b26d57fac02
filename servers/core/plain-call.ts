import * as z from "zod";
import { type CallPipeline, callTool } from "./call.ts";
import { waitsForRun } from "./run-calls.ts";
import { SERVER_INFO } from "./server.ts";
import { type ServerDefinition, findTool } from "./tool.ts";
import { toResult } from "./tool-result.ts";

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

const envelope = z.strictObject({
  "io.modelcontextprotocol/protocolVersion": z.literal(REVISION),
  "io.modelcontextprotocol/clientInfo": clientInfo.optional(),
  "io.modelcontextprotocol/clientCapabilities": clientCapabilities,
});

/**
 * The plainest call there is: each field is known, none is extra, and nothing is asked for on the way. Narrower than
 * the SDK's own schemas in every field, so that what passes here passes there. The 2025 revisions have no envelope.
 */
const plainCall = z.strictObject({
  jsonrpc: z.literal("2.0"),
  id: z.union([z.string(), z.int()]),
  method: z.literal("tools/call"),
  params: z.strictObject({
    name: z.string().regex(/^[a-z0-9_]+$/),
    arguments: z.record(z.string(), z.unknown()).optional(),
    _meta: envelope.optional(),
  }),
});

/** The 2025 revisions that clients speak; one that names none is the SDK's to judge. */
const OLD_REVISIONS: readonly (string | null)[] = ["2025-06-18", "2025-11-25"];

/**
 * Answers a plain call byte for byte as the SDK would (in 2025: with the one event of its stream), in half the time:
 * the SDK's way for each request takes longer than most calls do. `undefined` for anything that is the least bit
 * unusual, which is the SDK's to judge. Its tests hold both answers side by side, so that a new version of the SDK that
 * answers otherwise is noticed.
 */
export async function answerPlainCall(
  request: Request,
  body: unknown,
  servers: readonly ServerDefinition[],
  pipeline: CallPipeline,
): Promise<Response | undefined> {
  if (request.headers.get("Content-Type") !== "application/json") return undefined;
  const parsed = plainCall.safeParse(body);
  if (!parsed.success) return undefined;
  const { id, params } = parsed.data;
  const isModern = params._meta !== undefined;
  if (!(isModern ? isPlainModern(request, params.name) : isPlainLegacy(request))) return undefined;
  const tool = findTool(servers, params.name);
  if (tool === undefined) return undefined;
  const watch = { signal: request.signal, reportProgress: () => undefined };
  const { _meta, ...rest } = toResult(await callTool(tool, params.arguments ?? {}, pipeline, watch), pipeline);
  // A result of 2026-07-28 says who answers, and that it is the whole answer.
  const result = isModern
    ? { _meta: { ..._meta, "io.modelcontextprotocol/serverInfo": SERVER_INFO }, ...rest, resultType: "complete" }
    : { _meta, ...rest };
  return new Response(JSON.stringify({ result, jsonrpc: "2.0", id }), {
    headers: { "Content-Type": "application/json" },
  });
}

function isPlainModern({ headers }: Request, toolName: string): boolean {
  return (
    headers.get("MCP-Protocol-Version") === REVISION &&
    headers.get("Mcp-Method") === "tools/call" &&
    headers.get("Mcp-Name") === toolName &&
    !waitsForRun(toolName)
  );
}

function isPlainLegacy({ headers }: Request): boolean {
  const accepted = headers.get("Accept");
  return (
    OLD_REVISIONS.includes(headers.get("MCP-Protocol-Version")) &&
    (accepted === "application/json, text/event-stream" || accepted === "text/event-stream, application/json") &&
    [headers.get("Mcp-Session-Id"), headers.get("Mcp-Method"), headers.get("Mcp-Name")].every((value) => value === null)
  );
}
