import { type ToolSet, jsonSchema, tool as declareTool } from "ai";
import * as z from "zod";
import type { Caller } from "../../auth/caller.ts";
import type { Scope } from "../../auth/scopes.ts";
import { MAX_TEXT_CHARS, cutText } from "../core/artifacts.ts";
import type { CallEnd } from "../core/call.ts";
import type { Attachment, Tool } from "../core/tool.ts";
import { errorText } from "../shared/errors.ts";

/** The suite's tools as `worker.ts` hands them to a run. */
export interface Toolbox {
  readonly tools: readonly Tool[];
  /** Calls a tool the way clients do: scopes, limits, deadline, books. Never rejects. */
  readonly callTool: (tool: Tool, input: unknown, signal: AbortSignal) => Promise<CallEnd>;
}

/** A sub-agent starts no sub-agents, and administers nothing. */
const NEVER_HANDED_ON: readonly Scope[] = ["delegate:run", "admin"];

/** The caller as its sub-agent: the same person with less. */
export function asSubAgent(caller: Caller): Caller {
  return { ...caller, scopes: caller.scopes.filter((scope) => !NEVER_HANDED_ON.includes(scope)) };
}

/** The tools that a sub-agent is told of: those that its scopes cover, never one that nobody's scopes guard. */
export function offeredTools(tools: readonly Tool[], { scopes }: Caller): Tool[] {
  return tools.filter((tool) => tool.scopes.length > 0 && tool.scopes.every((scope) => scopes.includes(scope)));
}

/** The tools as the model sees them. Their input is checked where the suite checks everybody's. */
export function toolSet(tools: readonly Tool[]): ToolSet {
  return Object.fromEntries(
    tools.map(({ name, description, input }) => {
      const { $schema: _, ...schema } = z.toJSONSchema(input, { io: "input" });
      return [name, declareTool({ description, inputSchema: jsonSchema({ ...schema, type: "object" }) })];
    }),
  );
}

/** A call's end as text for the model, capped; pictures are left out, since not every model can look at one. */
export function describeEnd(end: CallEnd): { readonly text: string; readonly isError: boolean } {
  if (!end.ok) return { text: errorText(end.error), isError: true };
  const { text, attachments } = end.outcome;
  const notes = attachments.map((attachment) => `\n${describeAttachment(attachment)}`);
  return { text: cutText(text, MAX_TEXT_CHARS).text + notes.join(""), isError: false };
}

function describeAttachment(attachment: Attachment): string {
  switch (attachment.type) {
    case "image":
      return `[A picture (${attachment.mimeType}) that you are not shown.]`;
    case "link":
      return `[Kept as ${attachment.path} (${attachment.mimeType}, ${attachment.sizeBytes} bytes).]`;
    case "note":
      return `[${attachment.text}]`;
  }
}
