import { APICallError } from "ai";
import type { ErrorCode } from "../shared/errors.ts";

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
  readonly mayFallBack: boolean;
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

/** Upstream wording stays here: it can hold parts of the key. */
export function describeModelFailure(failure: unknown, model: string, limitField: LimitField): Failure {
  const unreadable = {
    kind: "failure",
    code: "unavailable",
    message: "The model endpoint's answer could not be read; try again, or name another model.",
    mayHaveCost: true,
    isRetryable: true,
    mayFallBack: true,
    isSpendLimit: false,
  } as const;
  if (!APICallError.isInstance(failure)) return unreadable;
  const status = failure.statusCode;
  if (status === undefined || (status >= 200 && status < 300)) return unreadable;
  if (status >= 500 || status === 408) {
    const message = `The model endpoint failed (status ${status}); try again later, or name another model.`;
    return { ...unreadable, ...retryAfter(failure), message, status };
  }
  const refused = {
    kind: "failure",
    mayHaveCost: false,
    isRetryable: false,
    mayFallBack: true,
    isSpendLimit: false,
    status,
  } as const;
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
