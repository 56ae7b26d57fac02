import { APICallError } from "ai";
import type { ErrorCode } from "../../shared/errors.ts";
import { isContentFilter, isSpendLimit } from "./refusal.ts";

/** What endpoints call the limit on an answer; OpenAI's newer models refuse the old name. */
export type LimitField = "max_tokens" | "max_completion_tokens";

/** A call to a model that brought no answer. */
export interface Failure {
  readonly kind: "failure";
  readonly code: ErrorCode;
  readonly message: string;
  /** Whether the model may have worked, so that the reservation stands. */
  readonly mayHaveCost: boolean;
  readonly isRetryable: boolean;
  /** Whether another model could do it. */
  readonly mayFallBack: boolean;
  /** Money is the limit, not the rate of requests: to wait does not help. */
  readonly isSpendLimit: boolean;
  readonly retryAfterMs?: number;
  /** Set where the endpoint asks for the other name. */
  readonly limitField?: LimitField;
  readonly status?: number;
}

export const UNREACHABLE: Failure = {
  kind: "failure",
  code: "unavailable",
  message: "The model endpoint cannot be reached; have MODEL_BASE_URL checked, or try again later.",
  // The connection may have broken after the request was through.
  mayHaveCost: true,
  isRetryable: true,
  mayFallBack: true,
  isSpendLimit: false,
};

export const UNREADABLE: Failure = {
  ...UNREACHABLE,
  message: "The model endpoint's answer could not be read; try again, or name another model.",
};

/** Upstream wording stays here: it can hold parts of the key. */
export function describeModelFailure(failure: unknown, model: string, limitField: LimitField): Failure {
  if (!APICallError.isInstance(failure) || failure.statusCode === undefined) return UNREADABLE;
  const { statusCode: status, responseHeaders, responseBody: body = "" } = failure;
  const retryAfter = responseHeaders?.["retry-after"] ?? null;
  return describeFailedAnswer({ status, retryAfter, body }, model, limitField);
}

/** An answer that may say that there is none. */
export interface FailedAnswer {
  readonly status: number;
  readonly retryAfter: string | null;
  readonly body: string;
}

/** As `describeModelFailure`, by the answer itself. */
export function describeFailedAnswer(answer: FailedAnswer, model: string, limitField: LimitField): Failure {
  const { status } = answer;
  if (status >= 200 && status < 300) return UNREADABLE;
  if (status >= 500 || status === 408) {
    const message = `The model endpoint failed (status ${status}); try again later, or name another model.`;
    return { ...UNREADABLE, ...waitOf(answer), message, status, mayHaveCost: status !== OVERLOADED };
  }
  return describeRefusal(answer, model, limitField);
}

/** Anthropic's, where it has no room to begin (platform.claude.com/docs/en/api/errors); clients ask again many times. */
const OVERLOADED = 529;

/** The endpoint did nothing, and said so. */
function describeRefusal(answer: FailedAnswer, model: string, limitField: LimitField): Failure {
  const { status, body } = answer;
  const refused = { ...UNREACHABLE, mayHaveCost: false, isRetryable: false, mayFallBack: false, status };
  if (status === 402 || isSpendLimit(body)) {
    return { ...refused, code: "limit_reached", message: spendLimit(status), mayFallBack: true, isSpendLimit: true };
  }
  if (status === 429) {
    const message = "The model endpoint limits requests or spending (status 429); try again later.";
    const limited = { code: "limit_reached", message, isRetryable: true, mayFallBack: true } as const;
    return { ...refused, ...waitOf(answer), ...limited };
  }
  if (status === 400 && limitField === "max_tokens" && body.includes("max_completion_tokens")) {
    const message = "The model endpoint wants max_completion_tokens.";
    return { ...refused, message, isRetryable: true, limitField: "max_completion_tokens" };
  }
  if (isContentFilter(body)) {
    const message = `A filter took offence at the conversation (status ${status}); put the task differently, or name another model.`;
    // It may have been the answer.
    return { ...refused, message, mayHaveCost: true, mayFallBack: true };
  }
  return { ...refused, message: refusal(status, model), mayFallBack: WILL_NOT_SERVE.has(status) };
}

/** This model, here or for us. */
const WILL_NOT_SERVE = new Set([403, 404, 410, 451]);

function spendLimit(status: number): string {
  return `The model's spend limit is reached or its account is empty (status ${status}); have that raised, or name a model that is billed elsewhere.`;
}

function refusal(status: number, model: string): string {
  switch (status) {
    case 401:
    case 403:
      return `The model endpoint refused the key (status ${status}); have MODEL_API_KEY or AI_GATEWAY_TOKEN checked.`;
    case 404:
    case 410:
      return `The model endpoint does not know ${JSON.stringify(model)} or its own path (status ${status}); name another model.`;
    case 413:
      return "The conversation grew too large for the model endpoint (status 413); give a smaller task.";
    default:
      return `The model endpoint refused the request (status ${status}); name another model or give a smaller task.`;
  }
}

/** `Retry-After` in seconds or as a date (RFC 9110 §10.2.3). */
function waitOf({ retryAfter: value }: FailedAnswer): { retryAfterMs?: number } {
  if (value === null) return {};
  const ms = /^\d+$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - Date.now();
  return Number.isFinite(ms) ? { retryAfterMs: Math.max(0, ms) } : {};
}
