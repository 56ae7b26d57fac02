import * as z from "zod";
import { modelName, pictureUrl, present, readAsked } from "./ask-schema.ts";
import { type ChatMessage, type ChatPart, chatQuestion } from "./chat-question.ts";
import type { Asked } from "./dialect.ts";
import { ResponseWriter } from "./responses-answer.ts";
import { type ToolNames, chatTools, toolNames } from "./responses-tools.ts";

const NOTHING_KEPT = "nothing is kept between requests; send the whole conversation";

const textPart = z.object({ type: z.enum(["input_text", "output_text", "text"]), text: z.string() });
const refusalPart = z.object({ type: z.literal("refusal"), refusal: z.string() });
const imagePart = z.object({ type: z.literal("input_image"), image_url: pictureUrl, detail: z.string().nullish() });
const part = z.discriminatedUnion("type", [textPart, refusalPart, imagePart]);
const content = z.union([z.string(), z.array(part)]);

const named = { call_id: z.string(), name: z.string(), namespace: z.string().nullish() };
const passedOver = z.object({ type: z.literal("other") });
const KNOWN = [
  ...["message", "function_call", "custom_tool_call", "function_call_output", "custom_tool_call_output"],
  "item_reference",
];
const typed = z.looseObject({ type: z.string().optional() });

/** A message may leave its type out. What the client cannot show to another model, such as thoughts, is passed over. */
function nameItem(item: unknown): unknown {
  const known = typed.safeParse(item).data;
  if (known === undefined) return item;
  const { type = "message" } = known;
  return KNOWN.includes(type) ? { ...known, type } : { type: "other" };
}

const item = z.preprocess(
  nameItem,
  z.discriminatedUnion("type", [
    z.object({ type: z.literal("message"), role: z.enum(["user", "assistant", "system", "developer"]), content }),
    z.object({ type: z.literal("function_call"), ...named, arguments: z.string() }),
    z.object({ type: z.literal("custom_tool_call"), ...named, input: z.string() }),
    z.object({
      type: z.enum(["function_call_output", "custom_tool_call_output"]),
      call_id: z.string(),
      output: content,
    }),
    z.object({ type: z.literal("item_reference"), id: z.never(NOTHING_KEPT) }),
    passedOver,
  ]),
);
type Item = z.output<typeof item>;

const responsesRequest = z.object({
  model: modelName.nullish(),
  instructions: z.string().nullish(),
  input: z.union([z.string(), z.array(item)]),
  previous_response_id: z.null(NOTHING_KEPT).optional(),
  conversation: z.null(NOTHING_KEPT).optional(),
  background: z.literal(false, "answers come right away; leave background out").nullish(),
  tools: z.array(z.unknown()).nullish(),
  tool_choice: z.unknown().optional(),
  parallel_tool_calls: z.boolean().nullish(),
  max_output_tokens: z.int().min(1).nullish(),
  temperature: z.number().nullish(),
  top_p: z.number().nullish(),
  stream: z.boolean().nullish(),
  text: z.object({ format: z.looseObject({ type: z.string() }).nullish() }).nullish(),
});

/** A request of OpenAI's responses, as one of its chat completions. */
export function readResponses(body: unknown): Asked {
  const asked = readAsked(responsesRequest, body);
  const { model, instructions, input, max_output_tokens: maxTokens, parallel_tool_calls, temperature, top_p } = asked;
  const names = toolNames(asked.tools ?? []);
  const items: Item[] = typeof input === "string" ? [{ type: "message", role: "user", content: input }] : input;
  const tools = chatTools(names, asked.tool_choice);
  const chat = {
    messages: [...(instructions ? [{ role: "system", content: instructions }] : []), ...chatMessages(items, names)],
    ...present({ temperature, top_p }),
    ...tools,
    ...("tools" in tools ? present({ parallel_tool_calls }) : {}),
    ...responseFormat(asked.text?.format),
  };
  return {
    ...(model ? { model } : {}),
    isStream: asked.stream === true,
    ...(maxTokens === undefined || maxTokens === null ? {} : { maxTokens }),
    question: (endpoint, named) =>
      chatQuestion({ chat, answer: (served) => new ResponseWriter(served, names) }, endpoint, named),
  };
}

/** Calls that follow each other are one message's; the pictures of their results come after all of the results. */
function chatMessages(items: readonly Item[], names: ToolNames): ChatMessage[] {
  const messages: ChatMessage[] = [];
  const pictures: ChatPart[] = [];
  let calls: unknown[] | undefined;
  for (const each of items) {
    if (each.type === "other" || each.type === "item_reference") continue;
    if (!("output" in each) && pictures.length > 0) messages.push({ role: "user", content: pictures.splice(0) });
    if ("arguments" in each || "input" in each) {
      if (calls === undefined) messages.push({ role: "assistant", content: null, tool_calls: (calls = []) });
      calls.push(chatCall(each, names));
      continue;
    }
    calls = undefined;
    if ("output" in each) {
      const { text, pictures: shown } = outputOf(each.output);
      pictures.push(...shown);
      messages.push({ role: "tool", tool_call_id: each.call_id, content: text });
    } else {
      messages.push({ role: each.role === "developer" ? "system" : each.role, content: messageContent(each) });
    }
  }
  return pictures.length === 0 ? messages : [...messages, { role: "user", content: pictures }];
}

function chatCall(each: Extract<Item, { call_id: string; name: string }>, names: ToolNames): unknown {
  const input = each.type === "function_call" ? each.arguments : JSON.stringify({ input: each.input });
  const name = names.chatNameOf(each.name, each.namespace ?? undefined);
  return { id: each.call_id, type: "function", function: { name, arguments: input } };
}

function messageContent({ role, content: said }: Extract<Item, { type: "message" }>): string | ChatPart[] {
  if (typeof said === "string") return said;
  const parts = said.map(chatPart);
  // Some endpoints know parts from their users alone.
  return role === "user" ? parts : parts.map((each) => (each.type === "text" ? each.text : "")).join("");
}

function chatPart(each: z.output<typeof part>): ChatPart {
  if (each.type === "refusal") return { type: "text", text: each.refusal };
  if (each.type !== "input_image") return { type: "text", text: each.text };
  return { type: "image_url", image_url: { url: each.image_url, ...(each.detail ? { detail: each.detail } : {}) } };
}

function outputOf(output: z.output<typeof content>): { readonly text: string; readonly pictures: readonly ChatPart[] } {
  if (typeof output === "string") return { text: output, pictures: [] };
  const parts = output.map(chatPart);
  const text = parts.flatMap((each) => (each.type === "text" ? [each.text] : [])).join("\n");
  const pictures = parts.filter((each) => each.type === "image_url");
  return { text: text === "" && pictures.length > 0 ? "The picture follows." : text, pictures };
}

function responseFormat(format: Readonly<Record<string, unknown>> | null | undefined): object {
  if (!format || format["type"] === "text") return {};
  if (format["type"] !== "json_schema") return { response_format: { type: format["type"] } };
  const { name, schema, strict } = format;
  return { response_format: { type: "json_schema", json_schema: present({ name: name ?? "answer", schema, strict }) } };
}
