import type { Refusal } from "./refusal.ts";

interface OpenAiError {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: null;
    readonly code: string;
  };
}

/** An error in OpenAI's shape. */
export function openAiError(refusal: Refusal): OpenAiError {
  const { status, message } = refusal;
  return { error: { message, type: typeOf(status), param: null, code: codeOf(refusal) } };
}

/** What agents go by. */
function codeOf({ code, isRetryable, isTooLong }: Refusal): string {
  if (isTooLong) return "context_length_exceeded";
  if (code !== "limit_reached") return code;
  return isRetryable ? "rate_limit_exceeded" : "insufficient_quota";
}

function typeOf(status: number): string {
  if (status === 429) return "rate_limit_error";
  return status < 500 ? "invalid_request_error" : "server_error";
}
