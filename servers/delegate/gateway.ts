import { OpenAICompatibleChatLanguageModel } from "@ai-sdk/openai-compatible";
import { type FinishReason, type ModelMessage, type ToolSet, generateText } from "ai";
import * as z from "zod";
import type { Settings } from "../shared/settings.ts";
import type { Reservation, Usage } from "./budget.ts";
import { type Failure, type LimitField, UNREACHABLE, describeModelFailure } from "./failure.ts";

/** A transcript row holds the whole reply, and SQLite rows end at 2 MB. */
const MAX_REPLY_BYTES = 1024 * 1024;

/** Where models answer, and what opens the door there. */
export interface ModelEndpoint {
  readonly baseUrl: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Whom AI Gateway's log shows a request under; at most five entries, none of them a name. */
export type RequestLabels = Readonly<Record<"user" | "run" | "depth" | "server" | "client", string>>;

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
      readonly usage: Usage | undefined;
      /** The model that answered. */
      readonly servedBy: string;
      /** Sentences for the run's caller. */
      readonly notes: readonly string[];
    }
  | Failure;

/** Asks once, without retries. Rejects only with what `reserve` throws, or where `signal` aborts. */
export async function ask(endpoint: ModelEndpoint, question: Question, fetcher: typeof fetch): Promise<Reply> {
  let reservationFailure: { readonly reason: unknown } | undefined;
  let isConnected = false;
  /** The request with the answer that its size leaves room for: the longest number was a placeholder. */
  const reserve = async (request: string): Promise<string> => {
    try {
      const { answerTokens } = await question.reserve(byteLength(request));
      const body = z.record(z.string(), z.unknown()).parse(JSON.parse(request));
      return JSON.stringify({ ...body, [question.limitField]: answerTokens });
    } catch (reason) {
      reservationFailure = { reason };
      throw reason;
    }
  };
  const model = new OpenAICompatibleChatLanguageModel(question.model, {
    provider: "endpoint",
    url: ({ path }) => `${endpoint.baseUrl}${path}`,
    headers: { ...endpoint.headers },
    transformRequestBody: ({ max_tokens: _, ...body }) => ({
      ...body,
      // Not through `toolChoice`: a model that calls tools all the same would lose its usage in an exception.
      ...(question.mayCallTools ? {} : { tool_choice: "none" }),
      [question.limitField]: Number.MAX_SAFE_INTEGER,
    }),
    fetch: async (input, init) => {
      const body = await reserve(String(init?.body));
      // A redirect would take the key along.
      const response = await fetcher(input, { ...init, body, redirect: "manual" });
      isConnected = true;
      return limitBody(response);
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
      servedBy: question.model,
      notes: [],
    };
  } catch (failure) {
    if (reservationFailure !== undefined) throw reservationFailure.reason;
    question.signal.throwIfAborted();
    return isConnected ? describeModelFailure(failure, question.model, question.limitField) : UNREACHABLE;
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
  return {
    inputTokens: prompt_tokens,
    outputTokens,
    cachedTokens: 0,
    ...(typeof cost === "number" ? { costUsd: cost } : {}),
  };
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

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}
