/** What went wrong with a call, in the words that clients see. */
export const ERROR_CODES = [
  "invalid_input",
  "not_found",
  "conflict",
  "too_large",
  "forbidden",
  "limit_reached",
  "timeout",
  "cancelled",
  "unavailable",
  "internal",
] as const;
export type ErrorCode = (typeof ERROR_CODES)[number];

/** What HTTP says for it, to whoever asks by that alone. */
export const HTTP_STATUS: Readonly<Record<ErrorCode, number>> = {
  invalid_input: 400,
  not_found: 404,
  conflict: 409,
  too_large: 413,
  forbidden: 403,
  limit_reached: 429,
  timeout: 504,
  cancelled: 503,
  unavailable: 503,
  internal: 500,
};

/**
 * An expected failure. `message` is one sentence of ours that tells the reader what to do next; upstream wording
 * belongs in `cause`, which reaches the log and never the client.
 */
export class ToolError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "ToolError";
    this.code = code;
  }
}

/** The error as it is written to a client: `code: sentence`. */
export function errorText(error: ToolError): string {
  return `${error.code}: ${error.message}`;
}
