import type { Usage } from "../../delegate/budget.ts";
import { CallList, type WrittenCall } from "./completion.ts";
import { anthropicError } from "./anthropic-error.ts";
import type { AnswerWriter, Asked, StreamEvent } from "./dialect.ts";

type Block =
  | { readonly type: "text"; text: string }
  | { readonly type: "tool_use"; readonly id: string; readonly name: string; input: unknown };

/** OpenAI's chunks as Anthropic's events. Blocks follow each other: calls that come side by side wait for their turn. */
export function writeMessages(_asked: Asked, model: string): AnswerWriter {
  const id = `msg_${crypto.randomUUID().replaceAll("-", "")}`;
  const calls = new CallList();
  const content: Block[] = [];
  let open: { readonly call?: WrittenCall } | undefined;
  const begun = new Set<WrittenCall>();
  let lateText = "";
  let finishReason: string | undefined;
  let hasBegun = false;
  let used = usageOf(undefined);

  const event = (name: string, data: object): StreamEvent => ({ name, data: { type: name, ...data } });
  const delta = (data: object): StreamEvent => event("content_block_delta", { index: content.length - 1, delta: data });
  const message = (): object => ({
    ...{ id, type: "message", role: "assistant", model, content: hasBegun ? content : [] },
    stop_reason: hasBegun ? stopReason(finishReason, begun.size > 0) : null,
    ...{ stop_sequence: null, usage: used },
  });
  const begin = (): StreamEvent[] => {
    if (hasBegun) return [];
    const started = event("message_start", { message: message() });
    hasBegun = true;
    return [started];
  };
  const close = (): StreamEvent[] => {
    if (open === undefined) return [];
    const block = content.at(-1);
    if (block?.type === "tool_use" && open.call !== undefined) block.input = readInput(open.call.arguments);
    open = undefined;
    return [event("content_block_stop", { index: content.length - 1 })];
  };
  const openBlock = (block: Block, call?: WrittenCall): StreamEvent[] => {
    const closed = close();
    open = call === undefined ? {} : { call };
    content.push(block);
    return [...closed, event("content_block_start", { index: content.length - 1, content_block: { ...block } })];
  };
  const say = (text: string): StreamEvent[] => {
    const started = open === undefined || open.call !== undefined ? openBlock({ type: "text", text: "" }) : [];
    const block = content.at(-1);
    if (block?.type === "text") block.text += text;
    return [...started, delta({ type: "text_delta", text })];
  };
  const beginCall = (call: WrittenCall): StreamEvent[] => {
    begun.add(call);
    const started = openBlock({ type: "tool_use", id: call.id, name: call.name, input: {} }, call);
    return call.arguments === "" ? started : [...started, inputDelta(call.arguments)];
  };
  const inputDelta = (json: string): StreamEvent => delta({ type: "input_json_delta", partial_json: json });
  const takeCall = (call: WrittenCall, more: string): StreamEvent[] => {
    if (open?.call === call) return more === "" ? [] : [inputDelta(more)];
    return open?.call === undefined && call.name !== "" ? beginCall(call) : [];
  };

  return {
    take: ({ choices: [choice] }) => {
      const events = begin();
      finishReason = choice?.finish_reason ?? finishReason;
      const text = choice?.delta?.content ?? "";
      if (text !== "" && open?.call !== undefined) lateText += text;
      else if (text !== "") events.push(...say(text));
      choice?.delta?.tool_calls?.forEach((piece, position) => {
        events.push(...takeCall(calls.take(piece, position), piece.function?.arguments ?? ""));
      });
      return events;
    },
    end: (usage) => {
      used = usageOf(usage);
      const late = calls.all.filter((call) => !begun.has(call) && call.name !== "");
      // An answer that was cut off for its length has no calls that were cut off with it.
      const whole = finishReason === "length" ? late.filter((call) => isJson(call.arguments)) : late;
      const events = [...begin(), ...whole.flatMap(beginCall), ...(lateText === "" ? [] : say(lateText)), ...close()];
      const stop = { stop_reason: stopReason(finishReason, begun.size > 0), stop_sequence: null };
      return [...events, event("message_delta", { delta: stop, usage: used }), event("message_stop", {})];
    },
    fail: (refusal) => [{ name: "error", data: anthropicError(refusal) }],
    whole: message,
  };
}

function stopReason(finishReason: string | undefined, hasCalls: boolean): string {
  if (finishReason === "length") return "max_tokens";
  if (finishReason === "content_filter") return "refusal";
  return hasCalls ? "tool_use" : "end_turn";
}

/** Tokens that the provider had in its cache are counted beside the rest. */
function usageOf(usage: Usage | undefined): Record<string, number> {
  const { inputTokens = 0, outputTokens = 0, cachedTokens = 0 } = usage ?? {};
  return {
    input_tokens: inputTokens - cachedTokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: cachedTokens,
    output_tokens: outputTokens,
  };
}

/** What a model wrote as the arguments of a call; nothing where that is no JSON. */
function readInput(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
