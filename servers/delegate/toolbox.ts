import { type ToolSet, jsonSchema, tool as declareTool } from "ai";
import * as z from "zod";
import type { Caller } from "../../auth/caller.ts";
import type { Scope } from "../../auth/scopes.ts";
import { MAX_TEXT_CHARS, cutText } from "../core/artifacts.ts";
import type { CallEnd } from "../core/call.ts";
import { leanSchema } from "../shared/lean-schema.ts";
import type { Attachment, Tool } from "../core/tool.ts";
import { errorText } from "../shared/errors.ts";
import { asData } from "./instructions.ts";
import type { RunRecord } from "./transcript.ts";

/** A run that a client starts may start others; those start none. */
export const MAX_DEPTH = 2;

/** The tool by which a sub-agent asks whoever started it; it is no tool of the suite. */
export const ASK_CALLER = "ask_caller";
export const askCallerInput = z.strictObject({
  question: z.string().min(1).max(4_000).describe("One question, with what you need to know to go on"),
});

const SANDBOX_SCOPES: readonly Scope[] = ["sandbox:exec", "interpreter:run"];

/** The caller as its sub-agent: the same person with less. No sub-agent administers anything. */
export function asSubAgent(caller: Caller, depth: number, sandboxMode: RunRecord["sandboxMode"]): Caller {
  const taken: readonly Scope[] = [
    "admin",
    ...(depth >= MAX_DEPTH ? (["delegate:run"] as const) : []),
    ...(sandboxMode === "none" ? SANDBOX_SCOPES : []),
  ];
  return { ...caller, scopes: caller.scopes.filter((scope) => !taken.includes(scope)) };
}

/** The tools that a caller's scopes cover, never one that nobody's scopes guard. */
export function coveredTools(tools: readonly Tool[], scopes: readonly Scope[]): Tool[] {
  return tools.filter((tool) => tool.scopes.length > 0 && tool.scopes.every((scope) => scopes.includes(scope)));
}

/** The tools that a run's model is told of. */
export function offeredTools(tools: readonly Tool[], { caller, tools: held }: RunRecord): Tool[] {
  return coveredTools(tools, caller.scopes).filter(({ name }) => held === undefined || held.includes(name));
}

const ASKING = {
  name: ASK_CALLER,
  description:
    "Asks whoever gave you the task, and waits for the answer. Only for what you cannot find out and cannot go on without.",
  input: askCallerInput,
};

/** The tools as the model sees them. Their input is checked where the suite checks everybody's. */
export function toolSet(tools: readonly Tool[]): ToolSet {
  return Object.fromEntries([...tools, ASKING].flatMap((tool) => Object.entries(declaration(tool))));
}

/** They are the same for every run. */
const declarations = new WeakMap<Declared, ToolSet>();

type Declared = Pick<Tool, "name" | "description" | "input">;

function declaration(tool: Declared): ToolSet {
  const known = declarations.get(tool);
  if (known !== undefined) return known;
  const { name, description, input } = tool;
  const inputSchema = jsonSchema({ ...leanSchema(input), type: "object" });
  const declared: ToolSet = { [name]: declareTool({ description, inputSchema }) };
  declarations.set(tool, declared);
  return declared;
}

/**
 * A call's end as text for the model, capped; pictures are left out, since not every model can look at one. Errors are
 * marked as well: a page or a command has a say in some of them.
 */
export function describeEnd(end: CallEnd): { readonly text: string; readonly isError: boolean } {
  if (!end.ok) return { text: asData(errorText(end.error)), isError: true };
  const { text, attachments } = end.outcome;
  const notes = attachments.map((attachment) => `\n${describeAttachment(attachment)}`);
  return { text: asData(cutText(text, MAX_TEXT_CHARS).text + notes.join("")), isError: false };
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
