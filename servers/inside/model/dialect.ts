import type { Usage } from "../../delegate/budget.ts";
import type { ModelEndpoint } from "../../delegate/model/endpoint.ts";
import type { LimitField } from "../../delegate/model/failure.ts";
import type { Refusal } from "./refusal.ts";

/** The shape that a client speaks. */
export interface Dialect {
  /** What a request is in the books. */
  readonly name: string;
  /** Throws `invalid_input` with what to correct. */
  read(body: unknown, headers: Headers): Asked;
  /** An error as the body of an answer. */
  refuse(refusal: Refusal): unknown;
}

/** What a client asked for. */
export interface Asked {
  /** By the name that the client has for it; absent where it leaves the choice to us. */
  readonly model?: string;
  readonly isStream: boolean;
  readonly maxTokens?: number;
  /** The same as that endpoint is asked it, for a model by the endpoint's name. Throws `invalid_input`. */
  readonly question: (endpoint: ModelEndpoint, model: string) => Question;
}

/** By whom an endpoint is asked, and for how long. */
export interface Asking {
  readonly fetcher: typeof fetch;
  readonly signal: AbortSignal;
}

/** A request as an endpoint takes it, and who reads the answer. */
export interface Question {
  readonly url: string;
  /** Its headers and prices are those for this request. */
  readonly endpoint: ModelEndpoint;
  /** What the limit on an answer is called, unless the endpoint wants it by its other name. */
  readonly limitField: LimitField;
  /** As JSON, for an answer of at most so many tokens. */
  readonly body: (limitField: LimitField, answerTokens: number) => string;
  /** What its input comes to at most. Rejects with `ModelFailed` or `invalid_input` where nobody can tell. */
  readonly mostInputTokens: (asking: Asking) => Promise<number>;
  readonly answer: AnswerWriter;
}

/** One event of a stream. */
export interface StreamEvent {
  readonly name?: string;
  /** JSON, but for a text, which is sent as it is. */
  readonly data: unknown;
}

/** Reads a model's answer, and writes what a client expects. */
export interface AnswerWriter {
  /** Takes what one event of the endpoint's holds, or all of an answer that came whole. Throws `ModelFailed` at what is none. */
  take(data: string, isWhole: boolean): readonly StreamEvent[];
  told(): Told;
  /** What follows once the answer has ended. */
  end(usage: Usage | undefined): readonly StreamEvent[];
  /** What follows where the answer breaks off. */
  fail(refusal: Refusal): readonly StreamEvent[];
  /** The answer in one piece, once it has ended. */
  whole(): unknown;
}

/** What an endpoint has told of its answer so far. */
export interface Told {
  /** Empty where it does not say. */
  readonly model: string;
  readonly usage: Usage | undefined;
  readonly hasEnded: boolean;
}
