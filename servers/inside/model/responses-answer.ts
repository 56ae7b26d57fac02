import type { Usage } from "../../delegate/budget.ts";
import { type Block, Blocks, type Piece } from "./blocks.ts";
import type { Chunk, ChunkWriter } from "./chunks.ts";
import type { StreamEvent } from "./dialect.ts";
import { openAiError } from "./openai-error.ts";
import type { Refusal } from "./refusal.ts";
import type { ToolNames } from "./responses-tools.ts";

type Status = "in_progress" | "completed" | "incomplete" | "failed";

/** Chunks as OpenAI's response, and as the events of its stream. */
export class ResponseWriter implements ChunkWriter {
  readonly #blocks = new Blocks();
  readonly #id = `resp_${crypto.randomUUID().replaceAll("-", "")}`;
  readonly #createdAt = Math.floor(Date.now() / 1_000);
  readonly #model: string;
  readonly #names: ToolNames;
  #sequence = 0;
  #usage: Usage | undefined;

  constructor(model: string, names: ToolNames) {
    this.#model = model;
    this.#names = names;
  }

  take(chunk: Chunk): StreamEvent[] {
    return [...this.#begin(), ...this.#blocks.take(chunk).flatMap((piece) => this.#pieceEvents(piece))];
  }

  end(usage: Usage | undefined): StreamEvent[] {
    const begun = this.#begin();
    this.#usage = usage;
    const pieces = this.#blocks.end().flatMap((piece) => this.#pieceEvents(piece));
    const status = this.#endStatus();
    return [...begun, ...pieces, this.#event(`response.${status}`, { response: this.#response(status) })];
  }

  fail(refusal: Refusal): StreamEvent[] {
    const { code, message } = openAiError(refusal).error;
    const response = { ...this.#response("failed"), error: { code, message } };
    return [...this.#begin(), this.#event("response.failed", { response })];
  }

  whole(): unknown {
    return this.#response(this.#endStatus());
  }

  #endStatus(): Status {
    const { finishReason } = this.#blocks;
    return finishReason === "length" || finishReason === "content_filter" ? "incomplete" : "completed";
  }

  #begin(): StreamEvent[] {
    if (this.#sequence > 0) return [];
    const response = this.#response("in_progress");
    return [this.#event("response.created", { response }), this.#event("response.in_progress", { response })];
  }

  #event(name: string, data: object): StreamEvent {
    return { name, data: { type: name, sequence_number: this.#sequence++, ...data } };
  }

  #response(status: Status): object {
    const isCut = this.#blocks.finishReason === "length";
    return {
      ...{ id: this.#id, object: "response", created_at: this.#createdAt, model: this.#model, status },
      ...{ error: null, instructions: null, metadata: {}, parallel_tool_calls: true, tools: [], tool_choice: "auto" },
      incomplete_details: status === "incomplete" ? { reason: isCut ? "max_output_tokens" : "content_filter" } : null,
      output: status === "in_progress" ? [] : this.#blocks.all.map((block) => this.#item(block, true)),
      usage: usageOf(this.#usage),
    };
  }

  #item(block: Block, isWhole: boolean): Record<string, unknown> {
    const id = `${this.#id}_${block.index}`;
    const status = isWhole ? "completed" : "in_progress";
    if (block.type === "text") {
      const content = isWhole ? [textPart(block.text)] : [];
      return { id, type: "message", status, role: "assistant", content };
    }
    const { id: callId, name, arguments: input } = block.call;
    const tool = this.#names.byChatName.get(name);
    const named = {
      ...{ id, status, call_id: callId, name: tool?.name ?? name },
      ...(tool?.namespace === undefined ? {} : { namespace: tool.namespace }),
    };
    return tool?.isCustom === true
      ? { ...named, type: "custom_tool_call", input: isWhole ? textIn(input) : "" }
      : { ...named, type: "function_call", arguments: isWhole ? input : "" };
  }

  #pieceEvents(piece: Piece): StreamEvent[] {
    const { block } = piece;
    const place = { output_index: block.index };
    const { id, type } = this.#item(block, false);
    const within = { item_id: id, ...place };
    const inText = { ...within, content_index: 0 };
    switch (piece.kind) {
      case "begin": {
        const added = this.#event("response.output_item.added", { ...place, item: this.#item(block, false) });
        if (type !== "message") return [added];
        return [added, this.#event("response.content_part.added", { ...inText, part: textPart("") })];
      }
      case "more":
        if (type === "custom_tool_call") return [];
        return type === "message"
          ? [this.#event("response.output_text.delta", { ...inText, delta: piece.text, logprobs: [] })]
          : [this.#event("response.function_call_arguments.delta", { ...within, delta: piece.text })];
      case "end":
        return [
          ...this.#wholeEvents(block, within, inText),
          this.#event("response.output_item.done", { ...place, item: this.#item(block, true) }),
        ];
    }
  }

  #wholeEvents(block: Block, within: object, inText: object): StreamEvent[] {
    if (block.type === "text") {
      const { text } = block;
      return [
        this.#event("response.output_text.done", { ...inText, text, logprobs: [] }),
        this.#event("response.content_part.done", { ...inText, part: textPart(text) }),
      ];
    }
    const { type, name, input } = this.#item(block, true);
    if (type === "function_call") {
      const { arguments: written } = block.call;
      return [this.#event("response.function_call_arguments.done", { ...within, name, arguments: written })];
    }
    // A text within JSON is only known once that is whole.
    return [
      this.#event("response.custom_tool_call_input.delta", { ...within, delta: input }),
      this.#event("response.custom_tool_call_input.done", { ...within, input }),
    ];
  }
}

function textPart(text: string): object {
  return { type: "output_text", text, annotations: [], logprobs: [] };
}

/** The one text that a tool is given; a model that wrote no JSON meant all of it. */
function textIn(json: string): string {
  try {
    const read: unknown = JSON.parse(json);
    return typeof read === "object" && read !== null && "input" in read ? String(read.input) : json;
  } catch {
    return json;
  }
}

function usageOf(usage: Usage | undefined): object | null {
  if (usage === undefined) return null;
  const { inputTokens, outputTokens, cachedTokens } = usage;
  return {
    input_tokens: inputTokens,
    input_tokens_details: { cached_tokens: cachedTokens },
    output_tokens: outputTokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: inputTokens + outputTokens,
  };
}
