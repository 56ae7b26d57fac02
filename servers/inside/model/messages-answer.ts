import type { Usage } from "../../delegate/budget.ts";
import { anthropicError } from "./anthropic-error.ts";
import { type Block, Blocks, type Piece } from "./blocks.ts";
import type { Chunk, ChunkWriter } from "./chunks.ts";
import type { StreamEvent } from "./dialect.ts";
import type { Refusal } from "./refusal.ts";

/** Chunks as Anthropic's message, and as the events of its stream. */
export class MessageWriter implements ChunkWriter {
  readonly #blocks = new Blocks();
  readonly #id = `msg_${crypto.randomUUID().replaceAll("-", "")}`;
  readonly #model: string;
  #hasBegun = false;
  #used = usageOf(undefined);

  constructor(model: string) {
    this.#model = model;
  }

  take(chunk: Chunk): StreamEvent[] {
    return [...this.#begin(), ...this.#blocks.take(chunk).map(pieceEvent)];
  }

  end(usage: Usage | undefined): StreamEvent[] {
    const pieces = this.#blocks.end();
    this.#used = usageOf(usage);
    return [
      ...this.#begin(),
      ...pieces.map(pieceEvent),
      event("message_delta", {
        delta: { stop_reason: stopReason(this.#blocks), stop_sequence: null },
        usage: this.#used,
      }),
      event("message_stop", {}),
    ];
  }

  fail(refusal: Refusal): StreamEvent[] {
    return [{ name: "error", data: anthropicError(refusal) }];
  }

  whole(): unknown {
    return this.#message(this.#blocks.all.map(wholeBlock), stopReason(this.#blocks));
  }

  #begin(): StreamEvent[] {
    if (this.#hasBegun) return [];
    this.#hasBegun = true;
    return [event("message_start", { message: this.#message([], null) })];
  }

  #message(content: readonly unknown[], reason: string | null): object {
    return {
      ...{ id: this.#id, type: "message", role: "assistant", model: this.#model, content },
      ...{ stop_reason: reason, stop_sequence: null, usage: this.#used },
    };
  }
}

function event(name: string, data: object): StreamEvent {
  return { name, data: { type: name, ...data } };
}

function pieceEvent(piece: Piece): StreamEvent {
  const { index, type } = piece.block;
  switch (piece.kind) {
    case "begin":
      return event("content_block_start", { index, content_block: emptyBlock(piece.block) });
    case "more":
      return event("content_block_delta", {
        index,
        delta:
          type === "text"
            ? { type: "text_delta", text: piece.text }
            : { type: "input_json_delta", partial_json: piece.text },
      });
    case "end":
      return event("content_block_stop", { index });
  }
}

function emptyBlock(block: Block): object {
  if (block.type === "text") return { type: "text", text: "" };
  return { type: "tool_use", id: block.call.id, name: block.call.name, input: {} };
}

function wholeBlock(block: Block): object {
  if (block.type === "text") return { type: "text", text: block.text };
  return { type: "tool_use", id: block.call.id, name: block.call.name, input: readInput(block.call.arguments) };
}

/** What a model wrote as the arguments of a call; nothing where that is no JSON. */
function readInput(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

function stopReason({ finishReason, hasCalls }: Blocks): string {
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
