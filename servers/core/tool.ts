import type * as z from "zod";
import type { Caller } from "../../auth/caller.ts";
import type { Scope } from "../../auth/scopes.ts";
import type { BrowserSessions } from "../browser/session.ts";
import type { DelegateRuns } from "../delegate/runs.ts";
import type { FileStore } from "../files/store.ts";
import type { ShareLinks } from "../files/share-link.ts";
import type { Sandbox } from "../sandbox/driver.ts";
import type { Previews } from "../sandbox/previews.ts";
import { ToolError } from "../shared/errors.ts";
import type { Artifacts } from "./artifacts.ts";

/** What a tool may act on, already bound to the caller by `worker.ts`. */
export interface Capabilities {
  /** The caller's sandbox of that name. */
  readonly sandbox: (name: string) => Sandbox;
  readonly previews: Previews;
  readonly files: FileStore;
  readonly shareLinks: ShareLinks;
  readonly browsers: BrowserSessions;
  readonly delegates: DelegateRuns;
  readonly artifacts: Artifacts;
}

export interface ToolContext extends Capabilities {
  readonly caller: Caller;
  /** Aborts when the client cancels or goes away, and at the call's deadline. */
  readonly signal: AbortSignal;
  /** Sends a progress notification where the client asked for them; never fails. */
  readonly reportProgress: (message: string) => void;
}

/** What a handler returns: the data, and what is shown beside it. */
export interface Answer<Output> {
  readonly output: Output;
  readonly attachments?: readonly Attachment[];
  /** What it cost beside the call itself, in billionths of a US dollar; absent where that is nothing, or not known. */
  readonly nanoUsd?: number;
}

export type Attachment =
  | { readonly type: "image"; readonly base64: string; readonly mimeType: string }
  | { readonly type: "link"; readonly path: string; readonly mimeType: string; readonly sizeBytes: number }
  | { readonly type: "note"; readonly text: string };

export interface Annotations {
  readonly readOnlyHint: boolean;
  readonly destructiveHint: boolean;
  readonly idempotentHint: boolean;
  readonly openWorldHint: boolean;
}

export interface ToolDefinition<Input extends z.ZodObject, Output extends z.ZodObject> {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  /** A `z.strictObject`: an argument that the tool does not know is a misunderstanding, and the model hears of it. */
  readonly input: Input;
  /** An allow list: fields that it does not declare are dropped before they leave. Never advertised. */
  readonly output: Output;
  readonly annotations: Annotations;
  readonly scopes: readonly Scope[];
  readonly handler: (input: z.output<Input>, context: ToolContext) => Promise<Answer<z.input<Output>>>;
  /** The answer as a text to read. Where it is given, the result is `content` alone. */
  readonly text?: (output: z.output<Output>) => string;
}

/** A tool whose schemas are known to nobody but itself, as the catalog holds it. */
export interface Tool {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly input: z.ZodObject;
  readonly annotations: Annotations;
  readonly scopes: readonly Scope[];
  /** Parses the input, rejecting with `invalid_input`, and runs the handler; the output has passed its schema. */
  readonly run: (input: unknown, context: ToolContext) => Promise<ToolOutcome>;
}

export interface ToolOutcome {
  /** Absent for a tool whose answer is a text to read. */
  readonly data?: Readonly<Record<string, unknown>>;
  readonly text: string;
  readonly attachments: readonly Attachment[];
  /** As in `Answer`. */
  readonly nanoUsd?: number;
}

export function defineTool<Input extends z.ZodObject, Output extends z.ZodObject>(
  definition: ToolDefinition<Input, Output>,
): Tool {
  const { input, output, handler, text, ...declared } = definition;
  return {
    ...declared,
    input,
    run: async (raw, context) => {
      const parsed = input.safeParse(raw);
      if (!parsed.success) throw new ToolError("invalid_input", describeIssues(parsed.error));
      const answer = await handler(parsed.data, context);
      const data = output.parse(answer.output);
      const beside = {
        attachments: answer.attachments ?? [],
        ...(answer.nanoUsd === undefined ? {} : { nanoUsd: answer.nanoUsd }),
      };
      return text === undefined ? { data, text: JSON.stringify(data), ...beside } : { text: text(data), ...beside };
    },
  };
}

function describeIssues(error: z.ZodError): string {
  const issues = error.issues
    .slice(0, 5)
    .map(({ path, message }) => (path.length === 0 ? message : `${path.join(".")}: ${message}`));
  return `${issues.join("; ")}. Correct the arguments and call again.`;
}

/** One MCP server: a name, words for the client's model, and tool modules whose every export is a tool. */
export interface ServerDefinition {
  readonly name: string;
  readonly title: string;
  readonly instructions: string;
  readonly tools: readonly Tool[];
}

export function defineServer(
  definition: Omit<ServerDefinition, "tools"> & { readonly modules: readonly Readonly<Record<string, Tool>>[] },
): ServerDefinition {
  const { modules, ...declared } = definition;
  return { ...declared, tools: modules.flatMap((module) => Object.values(module)) };
}

export function findTool(servers: readonly ServerDefinition[], name: string): Tool | undefined {
  for (const { tools } of servers) {
    const found = tools.find((tool) => tool.name === name);
    if (found !== undefined) return found;
  }
  return undefined;
}
