import {
  type ProtocolEra,
  ProtocolError,
  ProtocolErrorCode,
  SUPPORTED_PROTOCOL_VERSIONS,
  Server,
  type ServerContext,
  type Tool as ListedTool,
  type ToolAnnotations,
} from "@modelcontextprotocol/server";
import * as z from "zod";
import { type CallPipeline, callTool } from "./call.ts";
import { serveCompletion } from "./completion.ts";
import { servePrompts } from "./prompts.ts";
import { RUN_STATUS, callRunTool, waitsForRun } from "./run-calls.ts";
import { FILES_SCOPES, serveResources } from "./resources.ts";
import { SKILLS_EXTENSION, serveSkillMethods } from "./skill-methods.ts";
import { createShelf } from "./skills.ts";
import { TASKS_EXTENSION, serveTasks } from "./tasks.ts";
import { leanSchema } from "../shared/lean-schema.ts";
import { type Annotations, type ServerDefinition, type Tool, findTool } from "./tool.ts";
import { toResult } from "./tool-result.ts";

export const VERSION = "0.1.0";

/** The revisions of MCP that are spoken, the newest first. */
export const REVISIONS: readonly string[] = ["2026-07-28", ...SUPPORTED_PROTOCOL_VERSIONS];

export const SERVER_INFO = { name: "pincer", title: "Pincer", version: VERSION };

/** Schemas are the same for every caller: the entries of `tools/list` are made once. */
const listings = new WeakMap<Tool, ListedTool>();

/** A tool as `tools/list` shows it, as lean as clients allow: no `$schema`, no output schema. */
export function listTool(tool: Tool): ListedTool {
  const known = listings.get(tool);
  if (known !== undefined) return known;
  const schema = leanSchema(tool.input);
  const listed: ListedTool = {
    name: tool.name,
    title: tool.title,
    description: tool.description,
    inputSchema: {
      type: "object",
      properties: z.record(z.string(), z.json()).parse(schema.properties),
      ...(schema.required === undefined ? {} : { required: schema.required }),
    },
    annotations: listHints(tool.annotations),
  };
  listings.set(tool, listed);
  return listed;
}

/**
 * The hints that say other than a client assumes without them (MCP schema, `ToolAnnotations`: whatever is not said to be
 * harmless is not); of a tool that only reads, two of them say nothing.
 */
function listHints({ readOnlyHint, destructiveHint, idempotentHint, openWorldHint }: Annotations): ToolAnnotations {
  return {
    ...(readOnlyHint ? { readOnlyHint } : {}),
    ...(readOnlyHint || destructiveHint ? {} : { destructiveHint }),
    ...(readOnlyHint || !idempotentHint ? {} : { idempotentHint }),
    ...(openWorldHint ? {} : { openWorldHint }),
  };
}

/** The MCP server over `servers`, for one request of one caller. */
export function createServer(servers: readonly ServerDefinition[], pipeline: CallPipeline, era: ProtocolEra): Server {
  const hasFiles = servers.some(({ name }) => name === "files");
  const mayRead = hasFiles && FILES_SCOPES.every((scope) => pipeline.caller.scopes.includes(scope));
  const shelf = createShelf(servers, mayRead ? pipeline.capabilities.files : undefined);
  // In 2025 no request says whether its client takes tasks, and skills have no methods of their own.
  const isModern = era === "modern";
  const runStatus = isModern ? findTool(servers, RUN_STATUS) : undefined;
  const server = new Server(SERVER_INFO, {
    capabilities: {
      tools: {},
      resources: {},
      prompts: {},
      completions: {},
      ...(isModern && { extensions: { ...SKILLS_EXTENSION, ...(runStatus !== undefined && TASKS_EXTENSION) } }),
    },
    instructions: servers.map(({ instructions }) => instructions).join(" "),
  });
  server.setRequestHandler("tools/list", () => ({ tools: servers.flatMap(({ tools }) => tools.map(listTool)) }));
  server.setRequestHandler("tools/call", async ({ params }, context) => {
    const tool = findTool(servers, params.name);
    if (tool === undefined) {
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, `Unknown tool: ${params.name.slice(0, 100)}`);
    }
    const input = params.arguments ?? {};
    const watch = watchOf(context);
    if (runStatus !== undefined && waitsForRun(tool.name)) {
      return await callRunTool({ tool, input, statusTool: runStatus, pipeline, watch, context });
    }
    return toResult(await callTool(tool, input, pipeline, watch), pipeline);
  });
  serveResources(server, pipeline, shelf, hasFiles);
  servePrompts(server, pipeline, shelf, hasFiles);
  serveCompletion(server, pipeline, shelf);
  if (isModern) serveSkillMethods(server, pipeline, shelf);
  if (runStatus !== undefined) serveTasks(server, runStatus, pipeline);
  return server;
}

/** The signal and the progress channel of one MCP request. */
function watchOf({ mcpReq }: ServerContext): { signal: AbortSignal; reportProgress: (message: string) => void } {
  const progressToken = mcpReq._meta?.progressToken;
  let progress = 0;
  return {
    signal: mcpReq.signal,
    reportProgress: (message) => {
      if (progressToken === undefined) return;
      progress += 1;
      const params = { progressToken, progress, message };
      // A client that has gone away is noticed by the signal, not here.
      mcpReq.notify({ method: "notifications/progress", params }).catch(() => undefined);
    },
  };
}
