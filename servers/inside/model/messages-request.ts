import * as z from "zod";
import { modelName, pictureUrl, present, readAsked } from "./ask-schema.ts";
import { MessageWriter } from "./messages-answer.ts";
import type { Asked, ChatMessage, ChatPart } from "./dialect.ts";

/** Thoughts, tools that Anthropic has run, what it has yet to think of: no model but its own would know them. */
const passedOver = z.object({ type: z.literal("other") });
const KNOWN = ["text", "image", "document", "tool_result", "tool_use"];
const typed = z.object({ type: z.string() });

function renameOthers(block: unknown): unknown {
  const { type } = typed.safeParse(block).data ?? {};
  return type === undefined || KNOWN.includes(type) ? block : { type: "other" };
}

const text = z.object({ type: z.literal("text"), text: z.string() });
const image = z.object({
  type: z.literal("image"),
  source: z.object(
    { type: z.literal("base64"), media_type: z.string(), data: z.string() },
    "give the picture itself: a source of type base64",
  ),
});
const document = z.object({
  type: z.literal("document"),
  source: z.object({ type: z.literal("text"), data: z.string() }, "only documents of plain text can be passed on"),
});
const toolResult = z.object({
  type: z.literal("tool_result"),
  tool_use_id: z.string(),
  content: z
    .union([
      z.string(),
      z.array(z.preprocess(renameOthers, z.discriminatedUnion("type", [text, image, document, passedOver]))),
    ])
    .nullish(),
  is_error: z.boolean().nullish(),
});
const toolUse = z.object({
  type: z.literal("tool_use"),
  id: z.string(),
  name: z.string(),
  input: z.unknown().optional(),
});

const block = z.preprocess(
  renameOthers,
  z.discriminatedUnion("type", [text, image, document, toolResult, toolUse, passedOver]),
);
type Block = z.output<typeof block>;

const tool = z.object({
  type: z.string().nullish(),
  name: z.string(),
  description: z.string().nullish(),
  input_schema: z.record(z.string(), z.unknown()).nullish(),
});

const toolChoice = z.object({
  type: z.enum(["auto", "any", "tool", "none"]),
  name: z.string().optional(),
  disable_parallel_tool_use: z.boolean().optional(),
});

export const messagesRequest = z.object({
  model: modelName,
  max_tokens: z.int().min(1).nullish(),
  system: z.union([z.string(), z.array(text)]).nullish(),
  messages: z
    .array(z.object({ role: z.enum(["user", "assistant", "system"]), content: z.union([z.string(), z.array(block)]) }))
    .min(1),
  tools: z.array(tool).nullish(),
  tool_choice: toolChoice.nullish(),
  stop_sequences: z.array(z.string()).nullish(),
  temperature: z.number().nullish(),
  top_p: z.number().nullish(),
  stream: z.boolean().nullish(),
  output_config: z
    .object({
      format: z.object({ type: z.literal("json_schema"), schema: z.record(z.string(), z.unknown()) }).nullish(),
    })
    .nullish(),
});
type MessagesRequest = z.output<typeof messagesRequest>;

/** A request of Anthropic's messages, as one of OpenAI's chat completions. */
export function readMessages(body: unknown): Asked {
  const asked = readAsked(messagesRequest, body);
  const { model, max_tokens: maxTokens, system, messages, temperature, top_p, stop_sequences: stop } = asked;
  const format = asked.output_config?.format;
  return {
    ...(model ? { model } : {}),
    isStream: asked.stream === true,
    ...(maxTokens === undefined || maxTokens === null ? {} : { maxTokens }),
    answer: (named) => new MessageWriter(named),
    chat: {
      messages: [...systemMessage(system), ...messages.flatMap(chatMessages)],
      ...present({ temperature, top_p, stop }),
      ...toolsOf(asked),
      ...(format
        ? { response_format: { type: "json_schema", json_schema: { name: "answer", schema: format.schema } } }
        : {}),
    },
  };
}

function systemMessage(system: MessagesRequest["system"]): ChatMessage[] {
  const content = typeof system === "string" ? system : (system ?? []).map(({ text: said }) => said).join("\n\n");
  return content === "" ? [] : [{ role: "system", content }];
}

function chatMessages({ role, content }: MessagesRequest["messages"][number]): ChatMessage[] {
  if (typeof content === "string") return [{ role, content }];
  return role === "assistant" ? assistantMessage(content) : userMessages(role, content);
}

function assistantMessage(blocks: readonly Block[]): ChatMessage[] {
  const said = blocks.flatMap((each) => (each.type === "text" ? [each.text] : [])).join("");
  const calls = blocks.flatMap((each) =>
    each.type === "tool_use"
      ? [{ id: each.id, type: "function", function: { name: each.name, arguments: JSON.stringify(each.input ?? {}) } }]
      : [],
  );
  if (calls.length > 0) return [{ role: "assistant", content: said || null, tool_calls: calls }];
  return said === "" ? [] : [{ role: "assistant", content: said }];
}

/** Results come right after the calls, as OpenAI's messages of their own; those hold text alone, so pictures follow. */
function userMessages(role: string, blocks: readonly Block[]): ChatMessage[] {
  const results = blocks.filter((each) => each.type === "tool_result");
  const pictures = results.flatMap(({ content }) => (Array.isArray(content) ? content.flatMap(picturePart) : []));
  const parts: ChatPart[] = [...pictures, ...blocks.flatMap((each) => [...textPart(each), ...picturePart(each)])];
  return [
    ...results.map((result) => ({ role: "tool", tool_call_id: result.tool_use_id, content: resultText(result) })),
    ...(parts.length === 0 ? [] : [{ role, content: parts }]),
  ];
}

function resultText({ content, is_error }: z.output<typeof toolResult>): string {
  const parts = Array.isArray(content) ? content : [];
  const said =
    typeof content === "string"
      ? content
      : parts
          .flatMap(textPart)
          .map((part) => part.text)
          .join("\n");
  const shown = said === "" && parts.length > 0 ? "The picture follows." : said;
  return is_error === true ? `Error: ${shown}` : shown;
}

function textPart(each: Block): { readonly type: "text"; readonly text: string }[] {
  if (each.type === "text") return [{ type: "text", text: each.text }];
  return each.type === "document" ? [{ type: "text", text: each.source.data }] : [];
}

function picturePart(each: Block): ChatPart[] {
  if (each.type !== "image") return [];
  const url = readAsked(pictureUrl, `data:${each.source.media_type};base64,${each.source.data}`);
  return [{ type: "image_url", image_url: { url } }];
}

/** Tools with a type of Anthropic's own come without a schema, or are run by Anthropic. */
function toolsOf({ tools, tool_choice: choice }: MessagesRequest): Record<string, unknown> {
  const own = (tools ?? []).filter(({ type }) => type === undefined || type === null || type === "custom");
  if (own.length === 0) return {};
  return {
    tools: own.map(({ name, description, input_schema: parameters }) => ({
      type: "function",
      function: { name, ...present({ description }), parameters: parameters ?? { type: "object", properties: {} } },
    })),
    ...(choice ? { tool_choice: choiceOf(choice) } : {}),
    ...(choice?.disable_parallel_tool_use === true ? { parallel_tool_calls: false } : {}),
  };
}

function choiceOf({ type, name }: z.output<typeof toolChoice>): unknown {
  switch (type) {
    case "auto":
    case "none":
      return type;
    case "any":
      return "required";
    case "tool":
      return { type: "function", function: { name } };
  }
}
