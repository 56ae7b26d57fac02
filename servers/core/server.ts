import {
  type CallToolResult,
  type ContentBlock,
  ProtocolError,
  ProtocolErrorCode,
  ResourceNotFoundError,
  Server,
  type ServerContext,
  type Tool as ListedTool,
} from "@modelcontextprotocol/server";
import * as z from "zod";
import { FILES_URI_TEMPLATE, fileUri, listFileResources, readFileResource } from "../files/resources.ts";
import { ToolError, errorText } from "../shared/errors.ts";
import { type CallEnd, type CallPipeline, callTool } from "./call.ts";
import type { Attachment, ServerDefinition, Tool } from "./tool.ts";

export const VERSION = "0.1.0";

/** Schemas are the same for every caller: the entries of `tools/list` are made once. */
const listings = new WeakMap<Tool, ListedTool>();

/** A tool as `tools/list` shows it, as lean as clients allow: no `$schema`, no output schema. */
export function listTool(tool: Tool): ListedTool {
  const known = listings.get(tool);
  if (known !== undefined) return known;
  const schema = z.toJSONSchema(tool.input, { io: "input" });
  const listed: ListedTool = {
    name: tool.name,
    title: tool.title,
    description: tool.description,
    inputSchema: {
      type: "object",
      properties: z.record(z.string(), z.json()).parse(schema.properties),
      ...(schema.required === undefined ? {} : { required: schema.required }),
    },
    annotations: tool.annotations,
  };
  listings.set(tool, listed);
  return listed;
}

/** The MCP server over `servers`, for one request of one caller. */
export function createServer(servers: readonly ServerDefinition[], pipeline: CallPipeline): Server {
  const hasFiles = servers.some(({ name }) => name === "files");
  const server = new Server(
    { name: "pincer", title: "Pincer", version: VERSION },
    {
      capabilities: { tools: {}, ...(hasFiles ? { resources: {} } : {}) },
      instructions: servers.map(({ instructions }) => instructions).join(" "),
    },
  );
  server.setRequestHandler("tools/list", () => ({ tools: servers.flatMap(({ tools }) => tools.map(listTool)) }));
  server.setRequestHandler("tools/call", async ({ params }, context) => {
    const tool = servers.flatMap(({ tools }) => tools).find(({ name }) => name === params.name);
    if (tool === undefined) {
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, `Unknown tool: ${params.name.slice(0, 100)}`);
    }
    return toResult(await callTool(tool, params.arguments ?? {}, pipeline, watchOf(context)));
  });
  if (hasFiles) serveFileResources(server, pipeline);
  return server;
}

function serveFileResources(server: Server, { caller, capabilities: { files } }: CallPipeline): void {
  const mayRead = caller.scopes.includes("files:read");
  server.setRequestHandler("resources/templates/list", () => ({
    resourceTemplates: mayRead
      ? [{ uriTemplate: FILES_URI_TEMPLATE, name: "File", description: "A file of the workspace" }]
      : [],
  }));
  server.setRequestHandler("resources/list", async ({ params }) => {
    const page = mayRead ? await asProtocol(listFileResources(files, params?.cursor)) : { resources: [] };
    return { ...page, resources: [...page.resources] };
  });
  server.setRequestHandler("resources/read", async ({ params: { uri } }) => {
    const content = mayRead ? await asProtocol(readFileResource(files, uri)) : undefined;
    if (content === undefined) throw new ResourceNotFoundError(uri);
    return { contents: [content] };
  });
}

async function asProtocol<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (failure) {
    if (!(failure instanceof ToolError)) throw failure;
    const code = failure.code === "invalid_input" ? ProtocolErrorCode.InvalidParams : ProtocolErrorCode.InternalError;
    throw new ProtocolError(code, errorText(failure));
  }
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

function toResult(end: CallEnd): CallToolResult {
  const _meta = { "pincer/duration_ms": Math.round(end.durationMs) };
  if (!end.ok) return { content: [{ type: "text", text: errorText(end.error) }], isError: true, _meta };
  const { data, text, attachments } = end.outcome;
  return {
    content: [{ type: "text", text }, ...attachments.map(contentBlock)],
    ...(data === undefined ? {} : { structuredContent: { ...data } }),
    _meta,
  };
}

function contentBlock(attachment: Attachment): ContentBlock {
  if (attachment.type === "image") return { type: "image", data: attachment.base64, mimeType: attachment.mimeType };
  const { path, mimeType, sizeBytes } = attachment;
  return { type: "resource_link", uri: fileUri(path), name: path, mimeType, size: sizeBytes };
}
