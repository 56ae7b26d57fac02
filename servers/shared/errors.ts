/** What went wrong with a call, in the words that clients see. */
export type ErrorCode =
  | "invalid_input"
  | "not_found"
  | "conflict"
  | "too_large"
  | "forbidden"
  | "limit_reached"
  | "timeout"
  | "cancelled"
  | "unavailable"
  | "internal";

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
