import { type ErrorCode, HTTP_STATUS, ToolError } from "../shared/errors.ts";

const TEXT = { "Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store" } as const;

/** A line to read, at a terminal too. */
export function say(status: number, line: string, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(`${line}\n`, { status, headers: { ...TEXT, "X-Content-Type-Options": "nosniff", ...headers } });
}

/** One answer for a wrong, expired, revoked or orphaned link: which of them it is, is nobody's business. */
export const GONE = "This link does not work, or no longer. Ask for a new one.";

export function gone(): Response {
  return say(404, GONE);
}

export function methodNotAllowed(line: string, allowed: string): Response {
  return say(405, line, { Allow: allowed });
}

/** What curl tries again by itself (408, 429, 500, 502, 503, 504) is worth trying again. */
const STATUSES: Readonly<Record<ErrorCode, number>> = { ...HTTP_STATUS, cancelled: 499, limit_reached: 507 };

export function refusal({ code, message }: ToolError): Response {
  return say(STATUSES[code], message);
}

/** An expected failure of a download in words; rejects with any other. */
export function answerFailure(failure: unknown): Response {
  if (!(failure instanceof ToolError)) throw failure;
  return failure.code === "not_found" ? gone() : refusal(failure);
}
