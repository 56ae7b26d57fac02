import { ToolError } from "../../shared/errors.ts";
import { present } from "./ask-schema.ts";
import type { ChatBody, ChatMessage, ChatPart } from "./chat-question.ts";
import { type Block, type MessagesRequest, type ToolResult, isOwnTool } from "./messages-schema.ts";

export const NO_PDF = new ToolError(
  "invalid_input",
  "A PDF can be passed to Anthropic's own models alone, where the endpoint counts its tokens; send its text, as pdftotext makes it.",
);

/** A request of Anthropic's messages as one of OpenAI's chat completions, which know no thoughts and no mark for a cache. Throws `invalid_input` at a PDF. */
export function messagesAsChat(asked: MessagesRequest): ChatBody {
  const { system, messages, temperature, top_p, stop_sequences: stop } = asked;
  const format = asked.output_config?.format;
  return {
    messages: [...systemMessage(system), ...messages.flatMap(chatMessages)],
    ...present({ temperature, top_p, stop }),
    ...toolsOf(asked),
    ...(format
      ? { response_format: { type: "json_schema", json_schema: { name: "answer", schema: format.schema } } }
      : {}),
  };
}

function systemMessage(system: MessagesRequest["system"]): ChatMessage[] {
  const content = typeof system === "string" ? system : (system ?? []).map(({ text: said }) => said).join("\n\n");
  return content === "" ? [] : [{ role: "system", content }];
}

function chatMessages({ role, content = [] }: MessagesRequest["messages"][number]): ChatMessage[] {
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

function resultText({ content, is_error }: ToolResult): string {
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
  if (each.type !== "document") return [];
  if (each.source.type === "base64") throw NO_PDF;
  return [{ type: "text", text: each.source.data }];
}

function picturePart(each: Block): ChatPart[] {
  if (each.type !== "image") return [];
  const url = `data:${each.source.media_type};base64,${each.source.data}`;
  return [{ type: "image_url", image_url: { url } }];
}

/** Tools with a type of Anthropic's own come without a schema, or are run by Anthropic. */
function toolsOf({ tools, tool_choice: choice }: MessagesRequest): Record<string, unknown> {
  const own = (tools ?? []).filter(isOwnTool);
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

function choiceOf({ type, name }: NonNullable<MessagesRequest["tool_choice"]>): unknown {
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
