import * as z from "zod";
import { ToolError } from "../../shared/errors.ts";
import { present, readAsked } from "./ask-schema.ts";
import { type Block, type MessagesRequest, isOwnTool } from "./messages-schema.ts";

const BY_ANTHROPIC = "Anthropic would run it, which costs what nobody has set aside; take it out";
const NOTHING_KEPT = z.null("nothing is kept between requests; send the whole conversation").optional();

/** What would reach somewhere, keep something, or cost something of its own, and cannot just be left out. */
const refused = z.object({
  mcp_servers: z.array(z.unknown()).max(0, `${BY_ANTHROPIC}, or call the servers yourself`).nullish(),
  container: NOTHING_KEPT,
  thread: NOTHING_KEPT,
  inference_geo: z.null("where a model runs is not for a sandbox to say; leave inference_geo out").optional(),
});

/** Tools of Anthropic's that the client runs, by names that tell what they take. */
const CLIENT_TOOL = /^(?:bash|text_editor|memory)_\d{8}$/;
/** Without a call of a model beside the one. */
const EDITS = new Set(["clear_thinking_20251015", "clear_tool_uses_20250919"]);

type Tools = NonNullable<MessagesRequest["tools"]>;

/**
 * The same request as Anthropic takes it, but for the model, the limit and thoughts: all that is known to cost tokens and
 * nothing else. What marks the prompt for the cache is where it was, and so are thoughts of earlier answers. Throws
 * `invalid_input` at what Anthropic would do by itself.
 */
export function nativeRequest(asked: MessagesRequest, body: unknown): Record<string, unknown> {
  readAsked(refused, body);
  const { system, tools, tool_choice, stop_sequences, temperature, top_p, top_k, output_config, cache_control } = asked;
  const edits = asked.context_management?.edits?.filter(({ type }) => EDITS.has(type)) ?? [];
  return {
    ...present({ system, tools: tools && clientTools(tools), tool_choice, cache_control }),
    messages: asked.messages.flatMap(nativeMessage),
    ...present({ stop_sequences, temperature, top_p, top_k }),
    ...present({ output_config: output_config && present(output_config) }),
    ...(edits.length === 0 ? {} : { context_management: { edits } }),
  };
}

function clientTools(tools: Tools): Tools {
  for (const [index, tool] of tools.entries()) {
    if (isOwnTool(tool) || CLIENT_TOOL.test(tool.type)) continue;
    const name = JSON.stringify(tool.type.slice(0, 60));
    throw new ToolError("invalid_input", `tools.${index}: ${name} is no tool that the client runs: ${BY_ANTHROPIC}.`);
  }
  return tools;
}

type Message = MessagesRequest["messages"][number];

function nativeMessage(message: Message): Message[] {
  const { content } = message;
  if (!Array.isArray(content)) return [message];
  const kept = content.filter(({ type }) => type !== "other").map(withKnownParts);
  return kept.length === 0 && content.length > 0 ? [] : [{ ...message, content: kept }];
}

function withKnownParts(block: Block): Block {
  if (block.type !== "tool_result" || !Array.isArray(block.content)) return block;
  return { ...block, content: block.content.filter(({ type }) => type !== "other") };
}

/** How many of its tools Anthropic describes, and not the request. */
export function describedTools({ tools }: MessagesRequest): number {
  return (tools ?? []).filter((tool) => !isOwnTool(tool)).length;
}

/** Pictures in the request. */
export function nativePictures(asked: MessagesRequest): string[] {
  return blocksOf(asked).flatMap((each) => (each.type === "image" ? [each.source.data] : []));
}

/** Whether it has PDFs, whose bytes are no measure of their tokens. */
export function hasPdf(asked: MessagesRequest): boolean {
  return blocksOf(asked).some((each) => each.type === "document" && each.source.type === "base64");
}

/** The names of tools that the conversation refers to, as often as it does. */
export function referredTools(asked: MessagesRequest): string[] {
  return blocksOf(asked).flatMap((each) => {
    if (each.type === "tool_reference") return [each.tool_name];
    return each.type === "tool_addition" ? [each.tool.name] : [];
  });
}

/** Parts of messages, and of results in them. */
function blocksOf({ messages }: MessagesRequest): Block[] {
  const blocks = messages.flatMap(({ content }) => (Array.isArray(content) ? content : []));
  const within = blocks.flatMap((each) =>
    each.type === "tool_result" && Array.isArray(each.content) ? each.content : [],
  );
  return [...blocks, ...within];
}

/** What these names begin with changes how an answer is told or how a prompt is laid out, and nothing of its price. */
const BETAS = new Set([
  ...["claude-code", "effort", "interleaved-thinking", "thinking-display-updates", "thinking-token-count"],
  ...["context-management", "extended-cache-ttl", "prompt-caching", "structured-outputs", "token-efficient-tools"],
  ...["advanced-tool-use", "fine-grained-tool-streaming", "mid-conversation-tool-changes"],
  ...["mid-conversation-output-config", "mid-conversation-system-clear-at", "per-turn-control"],
]);

/** The header that asks for those of a client's betas that are passed on. */
export function betasOf(headers: Headers): { "anthropic-beta"?: string } {
  const named = (headers.get("anthropic-beta") ?? "").split(",").map((name) => name.trim());
  const known = named.filter((name) => BETAS.has(name.replace(/-(?:\d{4}-\d{2}-\d{2}|\d{8})$/, "")));
  return known.length === 0 ? {} : { "anthropic-beta": known.join(",") };
}
