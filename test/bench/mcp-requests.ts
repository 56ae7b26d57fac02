import * as z from "zod";
import type { Era } from "../support/mcp-clients.ts";
import { type Post, post } from "./load.ts";

/** A server that is measured, and how it is entered. */
export interface Door {
  readonly mcpUrl: URL;
  readonly token?: string;
}

export interface McpRequest {
  readonly method: "tools/list" | "tools/call";
  readonly params: Readonly<Record<string, unknown>>;
  /** What a right answer contains. */
  readonly answer: string;
}

export const LIST_TOOLS: McpRequest = { method: "tools/list", params: {}, answer: `"name":"files_list"` };

/** Goes the whole way to the tool's handler and back, where a path that leaves the workspace is refused. */
export const REFUSED_CALL = call("files_read", { path: "../outside" }, `"isError":true`);

/** The cheapest call that looks into storage. */
export const LIST_FILES = call("files_list", { folder: "nothing/here" }, `"structuredContent"`);

export const RUN_SUM = call("interpreter_run", { code: "1+1" }, `"text":"2"`);

export const EXEC_TRUE = call("sandbox_exec", { command: "true" }, `"exit_code":0`);

export function call(name: string, input: Readonly<Record<string, unknown>>, answer: string): McpRequest {
  return { method: "tools/call", params: { name, arguments: input }, answer };
}

export const REVISIONS: Readonly<Record<Era, string>> = { modern: "2026-07-28", legacy: "2025-11-25" };

/** Sends an MCP request the way that clients of that era do. Returns the answer's text, or throws. */
export async function send(door: Door, era: Era, asked: McpRequest): Promise<string> {
  const { status, text } = await post(toPost(door, era, asked));
  if (status === 200 && text.includes(asked.answer)) return text;
  throw new Error(`${asked.method} at ${door.mcpUrl.href} was answered with ${status}: ${text.slice(0, 300)}`);
}

const toolsSchema = z.object({ result: z.object({ tools: z.array(z.unknown()) }) });
const textSchema = z.object({
  result: z.object({ content: z.array(z.looseObject({ text: z.string().default("") })) }),
});

/** What `tools/list` shows there, which has to contain `answer`. */
export async function listTools(door: Door, answer = LIST_TOOLS.answer): Promise<readonly unknown[]> {
  return toolsSchema.parse(JSON.parse(await send(door, "modern", { ...LIST_TOOLS, answer }))).result.tools;
}

/** Calls a tool that has to succeed, and returns the text of its answer. */
export async function callForText(door: Door, tool: string, input: Readonly<Record<string, unknown>>): Promise<string> {
  const answer = await send(door, "modern", call(tool, input, `"content"`));
  if (answer.includes(`"isError":true`)) throw new Error(`${tool} was answered with ${answer}`);
  return textSchema
    .parse(JSON.parse(answer))
    .result.content.map(({ text }) => text)
    .join("\n");
}

function toPost({ mcpUrl, token }: Door, era: Era, { method, params }: McpRequest): Post {
  const isModern = era === "modern";
  const name = params["name"];
  const meta = {
    "io.modelcontextprotocol/protocolVersion": REVISIONS.modern,
    "io.modelcontextprotocol/clientInfo": { name: "pincer-bench", version: "1.0.0" },
    "io.modelcontextprotocol/clientCapabilities": {},
  };
  return {
    url: mcpUrl,
    headers: {
      "Content-Type": "application/json",
      Accept: "application/json, text/event-stream",
      "MCP-Protocol-Version": REVISIONS[era],
      ...(isModern ? { "Mcp-Method": method } : {}),
      ...(isModern && typeof name === "string" ? { "Mcp-Name": name } : {}),
      ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params: isModern ? { ...params, _meta: meta } : params }),
  };
}
