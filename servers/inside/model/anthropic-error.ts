import type { Refusal } from "./refusal.ts";

const TYPES = new Map([
  [400, "invalid_request_error"],
  [403, "permission_error"],
  [404, "not_found_error"],
  [413, "request_too_large"],
  [422, "invalid_request_error"],
  [429, "rate_limit_error"],
  [504, "timeout_error"],
]);

/** An error in Anthropic's shape. */
export function anthropicError({ status, message }: Refusal): unknown {
  return { type: "error", error: { type: TYPES.get(status) ?? "api_error", message } };
}
