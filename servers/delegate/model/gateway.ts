import { type FinishReason, type ModelMessage, type ToolSet, generateText } from "ai";
import * as z from "zod";
import { cutText } from "../../core/artifacts.ts";
import { asEventStream } from "./answer-stream.ts";
import type { Reservation, Usage } from "../budget.ts";
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

/** One call on its way: what the model is asked, and what became of the request. */
interface Call {
  readonly question: Question;
  reservationFailure?: { readonly reason: unknown };
  headers?: Headers;
}

/**
 * Asks models at that endpoint: each question once, without retries. Rejects only with what `reserve` throws, or where
 * `signal` aborts. The models are kept: to make one takes longer than all else of a call.
 */
export function createAsker(endpoint: ModelEndpoint, fetcher: typeof fetch): (question: Question) => Promise<Reply> {
  const models = new Map<string, StreamedModel>();
  /** By the signal that goes along with a call, down to its request. */
  const calls = new WeakMap<AbortSignal, Call>();
  const callOf = (signal: AbortSignal | null | undefined): Call => {
    const call = signal ? calls.get(signal) : undefined;
    if (call === undefined) throw new Error("A request was made for no call.");
    return call;
  };
  const newModel = ({ model, mayCallTools, limitField }: Question): StreamedModel =>
    new StreamedModel(model, {
      provider: "endpoint",
      includeUsage: true,
      url: ({ path }) => `${endpoint.baseUrl}${path}`,
      headers: { ...endpoint.headers },
      transformRequestBody: (body) => ({
        ...body,
        [limitField]: LONGEST,
        // Not through `toolChoice`: a model that calls tools all the same would lose its usage in an exception.
        ...(mayCallTools ? {} : { tool_choice: "none" }),
      }),
      fetch: async (input, init) => {
        const call = callOf(init?.signal);
        const body = await reserve(call, requestText.parse(init?.body));
        // A redirect would take the key along.
        const response = await fetcher(input, { ...init, body, redirect: "manual" });
        call.headers = response.headers;
        return await asEventStream(response);
      },
    });

  return async (question) => {
    const call: Call = { question };
    const key = `${question.limitField} ${question.mayCallTools} ${question.model}`;
    const model = models.get(key) ?? newModel(question);
    models.set(key, model);
    try {
      const { finalStep } = await generateText({
        model: model.asked((signal) => void calls.set(signal, call)),
        instructions: question.instructions,
        messages: question.messages,
        tools: question.tools,
        maxRetries: 0,
        // Nobody listens, and it copies every message to hide secrets from whoever might.
        telemetry: { isEnabled: false },
        abortSignal: question.signal,
      });
      const route = describeRoute(endpoint, call.headers ?? new Headers(), {
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
      if (call.reservationFailure !== undefined) throw call.reservationFailure.reason;
      question.signal.throwIfAborted();
      if (call.headers === undefined) return UNREACHABLE;
      return describeModelFailure(failure, question.model, question.limitField);
    }
  };
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

const requestText = z.string();
/** Stands for the longest answer until it is known how long the request is. */
const LONGEST = Number.MAX_SAFE_INTEGER;

/**
 * The request as it is sent: with the answer that there is room for. The placeholder is a key of the request itself: a
 * quotation mark within any of its texts has a backslash before it.
 */
async function reserve(call: Call, request: string): Promise<string> {
  const { reserve: setAside, limitField } = call.question;
  try {
    const { answerTokens } = await setAside(new TextEncoder().encode(request).length);
    return request.replace(`"${limitField}":${LONGEST}`, `"${limitField}":${answerTokens}`);
  } catch (reason) {
    call.reservationFailure = { reason };
    throw reason;
  }
}

/** The usage with what it cost: as the endpoint says, else by the price of the model that served. */
export function withCost(
  usage: Usage | undefined,
  { priceOf }: ModelEndpoint,
  { servedBy, isCached }: { readonly servedBy: string; readonly isCached: boolean },
): Usage | undefined {
  if (usage === undefined) return undefined;
  if (isCached) return { ...usage, costUsd: 0 };
  const price = usage.costUsd === undefined ? priceOf(servedBy) : undefined;
  return price === undefined ? usage : { ...usage, costUsd: costUsd(price, usage), isCostListed: true };
}
