import type { Usage } from "../../delegate/budget.ts";
import type { LimitField } from "../../delegate/model/failure.ts";
import type { Chunk } from "./chunks.ts";
import type { Refusal } from "./refusal.ts";

/** What a client asked for, as a request of OpenAI's chat completions. */
export interface Asked {
  /** By the name that the client has for it; absent where it leaves the choice to us. */
  readonly model?: string;
  readonly isStream: boolean;
  readonly maxTokens?: number;
  /** What the client calls the limit on an answer. */
  readonly limitField?: LimitField;
  /** All but the model, the limit and how it is answered. */
  readonly chat: ChatBody;
  /** Makes of that model's answer what the client expects. */
  readonly answer: (model: string) => AnswerWriter;
}

export interface ChatBody {
  readonly messages: readonly ChatMessage[];
  readonly tools?: readonly unknown[];
  readonly [field: string]: unknown;
}

export interface ChatMessage {
  readonly role: string;
  readonly content?: string | readonly ChatPart[] | null | undefined;
  readonly [field: string]: unknown;
}

export type ChatPart =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "refusal"; readonly refusal: string }
  | { readonly type: "image_url"; readonly image_url: { readonly url: string; readonly detail?: string | undefined } };

/** One event of a stream. */
export interface StreamEvent {
  readonly name?: string;
  /** JSON, but for a text, which is sent as it is. */
  readonly data: unknown;
}

/** Turns the chunks of a model's answer into what a client expects. */
export interface AnswerWriter {
  take(chunk: Chunk): readonly StreamEvent[];
  /** What follows the last chunk. */
  end(usage: Usage | undefined): readonly StreamEvent[];
  /** What follows where the answer breaks off. */
  fail(refusal: Refusal): readonly StreamEvent[];
  /** The answer in one piece, once it has ended. */
  whole(): unknown;
}

/** The shape that a client speaks. */
export interface Dialect {
  /** What a request is in the books. */
  readonly name: string;
  /** Throws `invalid_input` with what to correct. */
  read(body: unknown): Asked;
  /** An error as the body of an answer. */
  refuse(refusal: Refusal): unknown;
}
