import type { ModelEndpoint } from "../../delegate/model/endpoint.ts";
import type { LimitField } from "../../delegate/model/failure.ts";
import { possibleWrites } from "./cache-writes.ts";
import { type ChunkWriter, ChunkReader } from "./chunks.ts";
import type { Question } from "./dialect.ts";
import { mostInputTokens } from "./request-size.ts";

/** A request of OpenAI's chat completions: all but the model, the limit and how it is answered. */
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

/** What any endpoint can be asked. */
interface ChatQuestion {
  readonly chat: ChatBody;
  /** What the client calls the limit on an answer. */
  readonly limitField?: LimitField;
  /** Makes of that model's chunks what the client expects. */
  readonly answer: (model: string) => ChunkWriter;
}

export function chatQuestion(
  { chat, limitField, answer }: ChatQuestion,
  endpoint: ModelEndpoint,
  model: string,
): Question {
  const request = JSON.stringify({ model, ...chat, stream: true, stream_options: { include_usage: true } });
  return {
    url: `${endpoint.baseUrl}/chat/completions`,
    endpoint: { ...endpoint, priceOf: (asked) => possibleWrites(endpoint.priceOf(asked), request) },
    limitField: limitField ?? usualLimitField(model),
    body: (field, answerTokens) => `{"${field}":${answerTokens},${request.slice(1)}`,
    mostInputTokens: async () => await Promise.resolve(mostInputTokens(request, picturesIn(chat))),
    answer: new ChunkReader(answer(model)),
  };
}

/** OpenAI's models take no other; what else is called so is asked again. */
function usualLimitField(model: string): LimitField {
  return model.startsWith("openai/") ? "max_completion_tokens" : "max_tokens";
}

export function picturesIn({ messages }: ChatBody): string[] {
  const parts = messages.flatMap(({ content }) => (typeof content === "string" || !content ? [] : content));
  return parts.flatMap((part) => (part.type === "image_url" ? [part.image_url.url] : []));
}
