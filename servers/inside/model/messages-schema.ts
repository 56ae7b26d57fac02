import * as z from "zod";
import { modelName } from "./ask-schema.ts";

const BLOCKS = [
  ...["text", "image", "document", "tool_result", "tool_use", "thinking", "redacted_thinking"],
  ...["tool_reference", "tool_addition", "tool_removal"],
];
const typed = z.object({ type: z.string() });

/** What Anthropic has run, and what it has yet to think of, is passed over. */
function renameOthers(block: unknown): unknown {
  const { type } = typed.safeParse(block).data ?? {};
  return type === undefined || BLOCKS.includes(type) ? block : { type: "other" };
}

const passedOver = z.object({ type: z.literal("other") });

const cache_control = z.object({ type: z.literal("ephemeral"), ttl: z.enum(["5m", "1h"]).nullish() }).nullish();
const text = z.object({ type: z.literal("text"), text: z.string(), cache_control });
const GIVE_PICTURE = "give the picture itself, as a source of type base64";
const image = z.object({
  type: z.literal("image"),
  source: z.object({
    type: z.literal("base64", GIVE_PICTURE),
    // Pictures are not measured by their bytes, so that nothing else may pass for one.
    media_type: z.string().regex(/^image\/[\w.+-]+$/, GIVE_PICTURE),
    data: z.string().regex(/^[\w+/=-]*$/, GIVE_PICTURE),
  }),
  cache_control,
});
const GIVE_DOCUMENT = "give the document itself, a text as a source of type text, a PDF as one of type base64";
const textSource = z.object({ type: z.literal("text"), media_type: z.string().nullish(), data: z.string() });
const pdfSource = z.object({
  type: z.literal("base64"),
  media_type: z.literal("application/pdf", GIVE_DOCUMENT),
  data: z.string().regex(/^[\w+/=-]*$/, GIVE_DOCUMENT),
});
const document = z.object({
  type: z.literal("document"),
  source: z.discriminatedUnion("type", [textSource, pdfSource], GIVE_DOCUMENT),
  title: z.string().nullish(),
  context: z.string().nullish(),
  cache_control,
});
const toolReference = z.object({ type: z.literal("tool_reference"), tool_name: z.string(), cache_control });
const toolResult = z.object({
  type: z.literal("tool_result"),
  tool_use_id: z.string(),
  content: z
    .union([
      z.string(),
      z.array(
        z.preprocess(renameOthers, z.discriminatedUnion("type", [text, image, document, toolReference, passedOver])),
      ),
    ])
    .nullish(),
  is_error: z.boolean().nullish(),
  cache_control,
});
const toolUse = z.object({
  type: z.literal("tool_use"),
  id: z.string(),
  name: z.string(),
  input: z.unknown().optional(),
  cache_control,
});
/** Anthropic alone knows its own models' thoughts again, by their signatures. */
const thinking = z.object({
  type: z.literal("thinking"),
  thinking: z.string().nullish(),
  signature: z.string().nullish(),
});
const redactedThinking = z.object({ type: z.literal("redacted_thinking"), data: z.string() });
/** A tool that comes or goes within a conversation, by its name. */
const toolChange = z.object({
  type: z.enum(["tool_addition", "tool_removal"]),
  tool: z.object({ type: z.literal("tool_reference"), name: z.string() }, "name the tool by a tool_reference"),
  cache_control,
});

const block = z.preprocess(
  renameOthers,
  z.discriminatedUnion("type", [
    text,
    image,
    document,
    toolResult,
    toolUse,
    thinking,
    redactedThinking,
    toolReference,
    toolChange,
    passedOver,
  ]),
);
export type Block = z.output<typeof block>;
export type ToolResult = z.output<typeof toolResult>;

const effort = z.string().nullish();
const message = z.object({
  role: z.enum(["user", "assistant", "system"]),
  content: z.union([z.string(), z.array(block)]).optional(),
  output_config: z.object({ effort }).nullish(),
  clear_at: z.string().nullish(),
});

const ownTool = z.object({
  type: z.literal("custom").nullish(),
  name: z.string(),
  description: z.string().nullish(),
  input_schema: z.record(z.string(), z.unknown()).nullish(),
  strict: z.boolean().nullish(),
  defer_loading: z.boolean().nullish(),
  eager_input_streaming: z.boolean().nullish(),
  input_examples: z.array(z.record(z.string(), z.unknown())).nullish(),
  cache_control,
});
/** A tool that Anthropic has defined, and may run itself. */
const typedTool = z.object({
  type: z.string().regex(/^(?!custom$)/, "give the tool a name"),
  name: z.string().nullish(),
  max_characters: z.int().nullish(),
  defer_loading: z.boolean().nullish(),
  cache_control,
});

const toolChoice = z.object({
  type: z.enum(["auto", "any", "tool", "none"]),
  name: z.string().optional(),
  disable_parallel_tool_use: z.boolean().optional(),
});

const amount = z.object({ type: z.string(), value: z.int().nullish() }).nullish();
/** What is to be forgotten of a conversation. */
const edit = z.object({
  type: z.string(),
  keep: z.union([z.literal("all"), amount]).optional(),
  trigger: amount,
  clear_at_least: amount,
  clear_tool_inputs: z.union([z.boolean(), z.array(z.string())]).nullish(),
  exclude_tools: z.array(z.string()).nullish(),
});

/** A request of Anthropic's messages, as far as it is passed on; fields of their own cost are no part of it. */
export const messagesRequest = z.object({
  model: modelName.nullish(),
  max_tokens: z.int().min(1).nullish(),
  system: z.union([z.string(), z.array(text)]).nullish(),
  messages: z.array(message).min(1),
  tools: z.array(z.union([ownTool, typedTool])).nullish(),
  tool_choice: toolChoice.nullish(),
  stop_sequences: z.array(z.string()).nullish(),
  temperature: z.number().nullish(),
  top_p: z.number().nullish(),
  top_k: z.int().nullish(),
  stream: z.boolean().nullish(),
  thinking: z
    .object({ type: z.string(), budget_tokens: z.int().min(0).nullish(), display: z.string().nullish() })
    .nullish(),
  output_config: z
    .object({
      effort,
      format: z.object({ type: z.literal("json_schema"), schema: z.record(z.string(), z.unknown()) }).nullish(),
    })
    .nullish(),
  context_management: z.object({ edits: z.array(edit).nullish() }).nullish(),
  cache_control,
});
export type MessagesRequest = z.output<typeof messagesRequest>;

/** Tools that the client runs, by a schema of its own. */
export function isOwnTool(tool: NonNullable<MessagesRequest["tools"]>[number]): tool is z.output<typeof ownTool> {
  return tool.type === undefined || tool.type === null || tool.type === "custom";
}
