import type { Chunk } from "./chunks.ts";
import { CallList, type WrittenCall } from "./completion.ts";
import { parseJson } from "../../shared/parse-json.ts";

/** A part of an answer, as far as it is written: a text, or a call of a tool. */
export type Block =
  | { readonly type: "text"; text: string; readonly index: number }
  | { readonly type: "call"; readonly call: WrittenCall; readonly index: number };

/** What happens to a block next. */
export type Piece =
  | { readonly kind: "begin" | "end"; readonly block: Block }
  | { readonly kind: "more"; readonly block: Block; readonly text: string };

/**
 * An answer as blocks that follow each other, each ended before the next begins, where chunks may tell of several side by
 * side: the first call is told of as it comes, and all that is said meanwhile waits for the end.
 */
export class Blocks {
  readonly all: Block[] = [];
  finishReason: string | undefined;
  readonly #calls = new CallList();
  #open: Block | undefined;
  #lateText = "";

  get hasCalls(): boolean {
    return this.all.some(({ type }) => type === "call");
  }

  take({ choices: [choice] }: Chunk): Piece[] {
    const pieces: Piece[] = [];
    this.finishReason = choice?.finish_reason ?? this.finishReason;
    const text = choice?.delta?.content ?? "";
    if (this.#open?.type === "call") this.#lateText += text;
    else if (text !== "") pieces.push(...this.#say(text));
    choice?.delta?.tool_calls?.forEach((delta, position) => {
      pieces.push(...this.#tell(this.#calls.take(delta, position), delta.function?.arguments ?? ""));
    });
    return pieces;
  }

  end(): Piece[] {
    const begun = new Set(this.all.flatMap((block) => (block.type === "call" ? [block.call] : [])));
    const waiting = this.#calls.all.filter((call) => !begun.has(call) && call.name !== "");
    // An answer that was cut off for its length has no calls that were cut off with it: they could do something else.
    const whole =
      this.finishReason === "length" ? waiting.filter((call) => parseJson(call.arguments) !== undefined) : waiting;
    const late = this.#lateText === "" ? [] : [this.#lateText];
    return [
      ...whole.flatMap((call) => this.#begin({ type: "call", call, index: this.all.length })),
      ...late.flatMap((text) => this.#say(text)),
      ...this.#close(),
    ];
  }

  #say(text: string): Piece[] {
    const begun: Piece[] =
      this.#open?.type === "text" ? [] : this.#begin({ type: "text", text: "", index: this.all.length });
    const block = this.#open;
    if (block?.type !== "text") return begun;
    block.text += text;
    return [...begun, { kind: "more", block, text }];
  }

  #tell(call: WrittenCall, text: string): Piece[] {
    const block = this.#open;
    if (block?.type !== "call") {
      return call.name === "" ? [] : this.#begin({ type: "call", call, index: this.all.length });
    }
    return block.call === call && text !== "" ? [{ kind: "more", block, text }] : [];
  }

  #begin(block: Block): Piece[] {
    const closed = this.#close();
    this.#open = block;
    this.all.push(block);
    const said = block.type === "call" ? block.call.arguments : "";
    return [
      ...closed,
      { kind: "begin", block },
      ...(said === "" ? [] : [{ kind: "more" as const, block, text: said }]),
    ];
  }

  #close(): Piece[] {
    const block = this.#open;
    this.#open = undefined;
    return block === undefined ? [] : [{ kind: "end", block }];
  }
}
