import type { ModelEndpoint } from "../../delegate/model/endpoint.ts";
import type { MessagesApi } from "../../delegate/model/messages-api.ts";
import { countedByAnthropic } from "./anthropic-count.ts";
import { present } from "./ask-schema.ts";
import { keepsLong, toldWrites } from "./cache-writes.ts";
import type { Question } from "./dialect.ts";
import { NO_PDF } from "./messages-request.ts";
import { type MessagesRequest, isOwnTool } from "./messages-schema.ts";
import { NativeAnswer } from "./native-answer.ts";
import { betasOf, describedTools, hasPdf, nativePictures, nativeRequest, referredTools } from "./native-request.ts";
import { mostInputTokens } from "./request-size.ts";

/**
 * More than Anthropic adds to a request with tools or a format, and again for each tool that it describes itself: some
 * hundreds (platform.claude.com/docs/en/about-claude/pricing#tool-use-pricing).
 */
const MOST_ADDED_TOKENS = 2_048;
/** Anthropic's count is an estimate (platform.claude.com/docs/en/build-with-claude/token-counting). */
const COUNT_MARGIN = 1.1;
/** Less is no budget for thoughts. */
const LEAST_THINKING_TOKENS = 1_024;

/** A request of a client's as it came, with the headers that say what it means. */
export interface AskedMessages {
  readonly asked: MessagesRequest;
  readonly body: unknown;
  readonly headers: Headers;
}

/** One of Anthropic's own models asked in Anthropic's shape. */
export function nativeQuestion(
  { asked, body, headers }: AskedMessages,
  endpoint: ModelEndpoint,
  messages: MessagesApi,
  name: string,
): Question {
  const native = { model: name, ...nativeRequest(asked, body) };
  const request = JSON.stringify({ ...native, stream: true });
  const added = MOST_ADDED_TOKENS * (1 + describedTools(asked)) + referredTokens(asked);
  return {
    url: messages.url,
    endpoint: {
      ...endpoint,
      headers: { ...messages.headers, ...betasOf(headers) },
      priceOf: (model) => toldWrites(endpoint.priceOf(model), request),
    },
    limitField: "max_tokens",
    body: (_, answerTokens) => {
      const thinking = present({ thinking: thoughtsWithin(asked, answerTokens) });
      return `${JSON.stringify({ max_tokens: answerTokens, ...thinking }).slice(0, -1)},${request.slice(1)}`;
    },
    mostInputTokens: async (asking) => {
      if (!hasPdf(asked)) return mostInputTokens(request, nativePictures(asked)) + added;
      const counted = await countedByAnthropic({ native, asked, headers }, messages, asking);
      if (counted === undefined) throw NO_PDF;
      return Math.ceil(counted * COUNT_MARGIN) + added;
    },
    answer: new NativeAnswer(asked.stream === true, keepsLong(request)),
  };
}

/** A tool that a conversation refers to is described there, each time. */
function referredTokens(asked: MessagesRequest): number {
  const tokens = new Map(
    asked.tools?.map((tool) => [
      tool.name,
      isOwnTool(tool) ? mostInputTokens(JSON.stringify(tool), []) : MOST_ADDED_TOKENS,
    ]),
  );
  return referredTools(asked).reduce((sum, name) => sum + (tokens.get(name) ?? 0), 0);
}

/**
 * Thoughts are part of an answer: those that would be longer are made shorter, or the model does without. Anthropic does not
 * see to that where they interleave with calls of tools.
 */
function thoughtsWithin({ thinking }: MessagesRequest, answerTokens: number): MessagesRequest["thinking"] {
  if ((thinking?.budget_tokens ?? 0) < answerTokens) return thinking;
  return answerTokens > LEAST_THINKING_TOKENS
    ? { ...thinking, type: "enabled", budget_tokens: answerTokens - 1 }
    : null;
}
