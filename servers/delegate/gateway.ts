import { OpenAICompatibleChatLanguageModel } from "@ai-sdk/openai-compatible";
import { APICallError, type FinishReason, type ModelMessage, type ToolSet, generateText } from "ai";
import * as z from "zod";
import { type ErrorCode } from "../shared/errors.ts";
import type { Settings } from "../shared/settings.ts";
import type { Reservation, Usage } from "./budget.ts";

/** A transcript row holds the whole reply, and SQLite rows end at 2 MB. */
const MAX_REPLY_BYTES = 1024 * 1024;

/** Where models answer, and what opens the door there. */
export interface ModelEndpoint {
  readonly baseUrl: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Whom AI Gateway's log shows a request under; at most five entries, none of them a name. */
export type RequestLabels = Readonly<Record<"user" | "client" | "run", string>>;

/**
 * The endpoint that the settings name, if they do. `MODEL_BASE_URL` goes first. Behind AI Gateway the key is the
 * provider's and is passed through; without one the gateway uses the key that it stores, or its own billing.
 */
export function modelEndpoint(settings: Settings, labels: RequestLabels): ModelEndpoint | undefined {
  const key = settings.MODEL_API_KEY;
  const bearer: Record<string, string> = key === undefined ? {} : { authorization: `Bearer ${key}` };
  if (settings.MODEL_BASE_URL !== undefined) return { baseUrl: settings.MODEL_BASE_URL, headers: bearer };
  const { AI_GATEWAY_ACCOUNT_ID: account, AI_GATEWAY_ID: gateway, AI_GATEWAY_TOKEN: token } = settings;
  if (account === undefined || gateway === undefined || token === undefined) return undefined;
  const place = `${encodeURIComponent(account)}/${encodeURIComponent(gateway)}`;
  return {
    baseUrl: `https://gateway.ai.cloudflare.com/v1/${place}/compat`,
    headers: { ...bearer, "cf-aig-authorization": `Bearer ${token}`, "cf-aig-metadata": JSON.stringify(labels) },
  };
}

/** What endpoints call the limit on an answer; OpenAI's newer models refuse the old name. */
export type LimitField = "max_tokens" | "max_completion_tokens";

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
  readonly reserve: (requestBytes: number) => Reservation;
}

export type Reply =
  | {
      readonly kind: "reply";
      /** What to add to the transcript, with answers to calls that could not be read. */
      readonly messages: readonly ModelMessage[];
      readonly text: string;
      readonly finishReason: FinishReason;
      readonly usage: Usage | undefined;
    }
  | Failure;

export interface Failure {
  readonly kind: "failure";
  readonly code: ErrorCode;
  readonly message: string;
  /** Whether the model may have worked, so that the reservation stands. */
  readonly mayHaveCost: boolean;
  readonly isRetryable: boolean;
  readonly retryAfterMs?: number;
  /** Set where the endpoint asks for the other name. */
  readonly limitField?: LimitField;
  readonly status?: number;
}

/** Asks once, without retries. Rejects only with what `reserve` throws, or where `signal` aborts. */
export async function ask(endpoint: ModelEndpoint, question: Question, fetcher: typeof fetch): Promise<Reply> {
  let reservationFailure: { readonly reason: unknown } | undefined;
  let isConnected = false;
  const model = new OpenAICompatibleChatLanguageModel(question.model, {
    provider: "endpoint",
    url: ({ path }) => `${endpoint.baseUrl}${path}`,
    headers: { ...endpoint.headers },
    fetch: async (input, init) => {
      // A redirect would take the key along.
      const response = await fetcher(input, { ...init, redirect: "manual" });
      isConnected = true;
      return limitBody(response);
    },
    transformRequestBody: (body) => {
      const limited = (tokens: number): Record<string, unknown> => {
        const { max_tokens: _, ...rest } = body;
        // Not through `toolChoice`: a model that calls tools all the same would lose its usage in an exception.
        const choice = question.mayCallTools ? {} : { tool_choice: "none" };
        return { ...rest, ...choice, [question.limitField]: tokens };
      };
      try {
        const { answerTokens } = question.reserve(byteLength(limited(Number.MAX_SAFE_INTEGER)));
        return limited(answerTokens);
      } catch (reason) {
        reservationFailure = { reason };
        throw reason;
      }
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
    return {
      kind: "reply",
      messages: finalStep.response.messages,
      text: finalStep.text,
      finishReason: finalStep.finishReason,
      usage: readUsage(finalStep.usage.raw),
    };
  } catch (failure) {
    if (reservationFailure !== undefined) throw reservationFailure.reason;
    question.signal.throwIfAborted();
    return isConnected ? describe(failure, question) : UNREACHABLE;
  }
}

const count = z.int().min(0).max(1_000_000_000);
const reportedUsage = z.object({
  prompt_tokens: count,
  completion_tokens: count,
  total_tokens: count.nullish().catch(undefined),
  cost: z.number().min(0).max(1_000_000).nullish().catch(undefined),
});

/** The usage that the endpoint reported, or `undefined` where it is missing or makes no sense. */
export function readUsage(raw: unknown): Usage | undefined {
  const parsed = reportedUsage.safeParse(raw);
  if (!parsed.success) return undefined;
  const { prompt_tokens, completion_tokens, total_tokens, cost } = parsed.data;
  // Some count the tokens that a model thinks in only in the total.
  const outputTokens = Math.max(completion_tokens, (total_tokens ?? 0) - prompt_tokens);
  return { inputTokens: prompt_tokens, outputTokens, ...(cost == null ? {} : { costUsd: cost }) };
}

const UNREACHABLE: Failure = {
  kind: "failure",
  code: "unavailable",
  message: "The model endpoint cannot be reached; have MODEL_BASE_URL checked, or try again later.",
  // The connection may have broken after the request was through.
  mayHaveCost: true,
  isRetryable: true,
};

/** Upstream wording stays here: it can hold parts of the key. */
function describe(failure: unknown, { model, limitField }: Question): Failure {
  const unreadable = {
    kind: "failure",
    code: "unavailable",
    message: "The model endpoint's answer could not be read; try again, or name another model.",
    mayHaveCost: true,
    isRetryable: true,
  } as const;
  if (!APICallError.isInstance(failure)) return unreadable;
  const status = failure.statusCode;
  if (status === undefined || (status >= 200 && status < 300)) return unreadable;
  if (status >= 500 || status === 408) {
    const message = `The model endpoint failed (status ${status}); try again later, or name another model.`;
    return { ...unreadable, ...retryAfter(failure), message, status };
  }
  const refused = { kind: "failure", mayHaveCost: false, isRetryable: false, status } as const;
  if (status === 429) {
    const message = "The model endpoint limits requests or spending (status 429); try again later.";
    return { ...refused, ...retryAfter(failure), code: "limit_reached", message, isRetryable: true };
  }
  if (status === 400 && limitField === "max_tokens" && failure.responseBody?.includes("max_completion_tokens")) {
    const message = "The model endpoint wants max_completion_tokens.";
    return { ...refused, code: "unavailable", message, isRetryable: true, limitField: "max_completion_tokens" };
  }
  return { ...refused, code: "unavailable", message: refusal(status, model) };
}

function refusal(status: number, model: string): string {
  switch (status) {
    case 401:
    case 403:
      return `The model endpoint refused the key (status ${status}); have MODEL_API_KEY or AI_GATEWAY_TOKEN checked.`;
    case 402:
      return "The model endpoint wants to be paid first (status 402); have its account checked.";
    case 404:
      return `The model endpoint does not know ${JSON.stringify(model)} or its own path (status 404); name another model.`;
    case 413:
      return "The run's transcript grew too large for the model endpoint (status 413); give a smaller task.";
    default:
      return `The model endpoint refused the request (status ${status}); name another model or give a smaller task.`;
  }
}

/** `Retry-After` in seconds or as a date (RFC 9110 §10.2.3). */
function retryAfter(failure: APICallError): { retryAfterMs?: number } {
  const value = failure.responseHeaders?.["retry-after"];
  if (value === undefined) return {};
  const ms = /^\d+$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - Date.now();
  return Number.isFinite(ms) ? { retryAfterMs: Math.max(0, ms) } : {};
}

/** The response, broken off where it is longer than a transcript can hold. */
function limitBody(response: Response): Response {
  if (response.body === null) return response;
  let bytes = 0;
  const limit = new TransformStream<Uint8Array, Uint8Array>({
    transform: (chunk, controller) => {
      bytes += chunk.length;
      if (bytes > MAX_REPLY_BYTES) controller.error(new Error("The reply is too large."));
      else controller.enqueue(chunk);
    },
  });
  return new Response(response.body.pipeThrough(limit), response);
}

function byteLength(value: unknown): number {
  return new TextEncoder().encode(JSON.stringify(value)).length;
}
