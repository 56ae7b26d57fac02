import * as z from "zod";
import type { Usage } from "../../delegate/budget.ts";
import { asChunk } from "../../delegate/model/answer-stream.ts";
import { UNREADABLE } from "../../delegate/model/failure.ts";
import { readUsage } from "../../delegate/model/usage.ts";
import type { AnswerWriter, StreamEvent, Told } from "./dialect.ts";
import { ModelFailed, type Refusal } from "./refusal.ts";
import { parseJson } from "../../shared/parse-json.ts";

const callDelta = z.looseObject({
  index: z.int().min(0).nullish(),
  id: z.string().nullish(),
  function: z.looseObject({ name: z.string().nullish(), arguments: z.string().nullish() }).nullish(),
});

const chunkSchema = z.looseObject({
  model: z.string().nullish(),
  usage: z.unknown().optional(),
  choices: z
    .array(
      z.looseObject({
        delta: z.looseObject({ content: z.string().nullish(), tool_calls: z.array(callDelta).nullish() }).nullish(),
        finish_reason: z.string().nullish(),
      }),
    )
    .default([]),
  error: z.never().optional(),
});

/** One event of a model's answer. */
export type Chunk = Readonly<z.output<typeof chunkSchema>>;
export type CallDelta = Readonly<z.output<typeof callDelta>>;

/** Turns the chunks of a model's answer into what a client expects. */
export interface ChunkWriter {
  take(chunk: Chunk): readonly StreamEvent[];
  /** What follows the last chunk. */
  end(usage: Usage | undefined): readonly StreamEvent[];
  /** What follows where the answer breaks off. */
  fail(refusal: Refusal): readonly StreamEvent[];
  /** The answer in one piece, once it has ended. */
  whole(): unknown;
}

/** Reads an answer of chat completions, also one that came whole, for whoever writes of its chunks. */
export class ChunkReader implements AnswerWriter {
  readonly #writer: ChunkWriter;
  #model = "";
  #usage: unknown;
  #hasEnded = false;

  constructor(writer: ChunkWriter) {
    this.#writer = writer;
  }

  take(data: string, isWhole: boolean): readonly StreamEvent[] {
    if (data === "[DONE]") {
      this.#hasEnded = true;
      return [];
    }
    const json = parseJson(data);
    const chunk = chunkSchema.safeParse(isWhole ? asChunk(json) : json).data;
    if (chunk === undefined) throw new ModelFailed(UNREADABLE);
    this.#usage = chunk.usage ?? this.#usage;
    this.#model ||= chunk.model ?? "";
    this.#hasEnded ||= typeof chunk.choices[0]?.finish_reason === "string";
    return this.#writer.take(chunk);
  }

  told(): Told {
    return { model: this.#model, usage: readUsage(this.#usage), hasEnded: this.#hasEnded };
  }

  end(usage: Usage | undefined): readonly StreamEvent[] {
    return this.#writer.end(usage);
  }

  fail(refusal: Refusal): readonly StreamEvent[] {
    return this.#writer.fail(refusal);
  }

  whole(): unknown {
    return this.#writer.whole();
  }
}
