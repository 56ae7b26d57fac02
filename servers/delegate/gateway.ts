import { type FinishReason, type ModelMessage, type ToolSet, generateText } from "ai";
import * as z from "zod";
import { cutText } from "../core/artifacts.ts";
import { asEventStream } from "./answer-stream.ts";
import type { Reservation, Usage } from "./budget.ts";
import type { ModelEndpoint } from "./endpoint.ts";
import { type Failure, type LimitField, UNREACHABLE, describeModelFailure } from "./failure.ts";
import { costUsd } from "./model-prices.ts";
import { describeRoute } from "./route.ts";
import { StreamedModel } from "./streamed-model.ts";
import { readUsage } from "./usage.ts";

const MAX_ERROR_CHARS = 1_000;

type ResponseMessage = Awaited<ReturnType<typeof generateText>>["finalStep"]["response"]["messages"][number];

export interface Question {
  readonly model: string;
  readonly instructions: string;
  readonly messages: ModelMessage[];
  /** Without `execute`: calls come back, and whoever asked runs them. */
  readonly tools: ToolSet;
  readonly mayCallTools: boolean;
  readonly limitField: LimitField;
  readonly signal: AbortSignal;
  /** Called with the exact request's size right before it is sent; may throw, and nothing is sent. */
  readonly reserve: (requestBytes: number) => Promise<Reservation>;
}

export type Reply =
  | {
      readonly kind: "reply";
      /** What to add to the transcript, with answers to calls that could not be read. */
      readonly messages: readonly ModelMessage[];
      readonly text: string;
      readonly finishReason: FinishReason;
      /** Its `costUsd` is the endpoint's, else by the price of the model that served; absent where nobody knows. */
      readonly usage: Usage | undefined;
      /** The model that answered, which a route or the endpoint itself may have chosen. */
      readonly servedBy: string;
      /** Whether AI Gateway had the answer already: then it cost nothing. */
      readonly isCached: boolean;
      /** Sentences for the caller about what AI Gateway did otherwise than it was asked. */
      readonly notes: readonly string[];
    }
  | Failure;

/** Asks once, without retries. Rejects only with what `reserve` throws, or where `signal` aborts. */
export async function ask(endpoint: ModelEndpoint, question: Question, fetcher: typeof fetch): Promise<Reply> {
  let reservationFailure: { readonly reason: unknown } | undefined;
  let headers: Headers | undefined;
  /** The request with the answer that there is room for in the place of the longest number. */
  const reserve = async (request: string): Promise<string> => {
    try {
      const { answerTokens } = await question.reserve(new TextEncoder().encode(request).length);
      const body = z.record(z.string(), z.unknown()).parse(JSON.parse(request));
      return JSON.stringify({ ...body, [question.limitField]: answerTokens });
    } catch (reason) {
      reservationFailure = { reason };
      throw reason;
    }
  };
  const model = new StreamedModel(question.model, {
    provider: "endpoint",
    includeUsage: true,
    url: ({ path }) => `${endpoint.baseUrl}${path}`,
    headers: { ...endpoint.headers },
    transformRequestBody: (body) => limited(body, question, Number.MAX_SAFE_INTEGER),
    fetch: async (input, init) => {
      const body = await reserve(z.string().parse(init?.body));
      // A redirect would take the key along.
      const response = await fetcher(input, { ...init, body, redirect: "manual" });
      headers = response.headers;
      return await asEventStream(response);
    },
  });
  try {
    const { finalStep } = await generateText({
      model,
      instructions: question.instructions,
      messages: question.messages,
      tools: question.tools,
      maxRetries: 0,
      abortSignal: question.signal,
    });
    const route = describeRoute(endpoint, headers ?? new Headers(), {
      asked: question.model,
      answered: finalStep.response.modelId,
    });
    return {
      kind: "reply",
      messages: finalStep.response.messages.map(withCutErrors),
      text: finalStep.text,
      finishReason: finalStep.finishReason,
      usage: withCost(readUsage(finalStep.usage.raw), endpoint, route),
      ...route,
    };
  } catch (failure) {
    if (reservationFailure !== undefined) throw reservationFailure.reason;
    question.signal.throwIfAborted();
    return headers === undefined ? UNREACHABLE : describeModelFailure(failure, question.model, question.limitField);
  }
}

/** What is wrong with a call is told with the call's own words, which have no end. */
function withCutErrors(message: ResponseMessage): ResponseMessage {
  if (message.role !== "tool") return message;
  const content = message.content.map((part) => {
    if (part.type !== "tool-result" || part.output.type !== "error-text") return part;
    return { ...part, output: { ...part.output, value: cutText(part.output.value, MAX_ERROR_CHARS).text } };
  });
  return { ...message, content };
}

function limited(
  body: Record<string, unknown>,
  { mayCallTools, limitField }: Question,
  answerTokens: number,
): Record<string, unknown> {
  const { max_tokens: _, ...rest } = body;
  // Not through `toolChoice`: a model that calls tools all the same would lose its usage in an exception.
  const choice = mayCallTools ? {} : { tool_choice: "none" };
  return { ...rest, ...choice, [limitField]: answerTokens };
}

function withCost(
  usage: Usage | undefined,
  { priceOf }: ModelEndpoint,
  { servedBy, isCached }: { readonly servedBy: string; readonly isCached: boolean },
): Usage | undefined {
  if (usage === undefined) return undefined;
  if (isCached) return { ...usage, costUsd: 0 };
  const price = usage.costUsd === undefined ? priceOf(servedBy) : undefined;
  return price === undefined ? usage : { ...usage, costUsd: costUsd(price, usage) };
}
