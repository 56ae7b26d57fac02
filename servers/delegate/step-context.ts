import type { ModelMessage } from "ai";
import type { Log } from "../core/log.ts";
import type { Tool } from "../core/tool.ts";
import { ToolError, errorText } from "../shared/errors.ts";
import type { Settings } from "../shared/settings.ts";
import type { ModelEndpoint } from "./model/endpoint.ts";
import type { Question, Reply } from "./model/gateway.ts";
import type { RunHost } from "./host.ts";
import type { KeptFile, RunRecord, RunStatus, Transcript } from "./transcript.ts";

export const SECONDS_USED_UP = new ToolError("limit_reached", "budget.seconds is used up; give more.");

/** What one step of a run works with. */
export interface StepContext {
  readonly transcript: Transcript;
  /** Every tool of the suite. */
  readonly tools: readonly Tool[];
  readonly host: RunHost;
  readonly endpoint: ModelEndpoint;
  readonly settings: Settings;
  readonly ask: (question: Question) => Promise<Reply>;
  readonly log: Log;
  readonly now: () => number;
  /** Aborts when the run is cancelled. */
  readonly signal: AbortSignal;
  /** Work that nobody waits for; it never rejects. */
  readonly inBackground: (work: Promise<void>) => void;
  /** The files that calls have written since this was last asked. */
  readonly takeFiles: () => readonly KeptFile[];
}

/** Does the work under a signal that also aborts after `timeoutMs`; no timer is left to keep the object awake. */
export async function withDeadline<T>(
  { signal }: StepContext,
  timeoutMs: number,
  reason: ToolError,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(reason), timeoutMs);
  try {
    return await work(AbortSignal.any([signal, deadline.signal]));
  } finally {
    clearTimeout(timer);
  }
}

/** Ends the run for a reason that the caller is told, with whatever result there is. */
export function endRun({ transcript, now }: StepContext, status: RunStatus, error: ToolError, result = ""): undefined {
  transcript.update({
    status,
    activity: status,
    inFlight: "none",
    endedAtMs: now(),
    error: errorText(error),
    ...(result === "" ? {} : { result }),
  });
}

/** How long a run has until its deadline. */
export function leftMs({ startedAtMs, budget }: RunRecord, nowMs: number): number {
  return startedAtMs + budget.seconds * 1_000 - nowMs;
}

/** What the model last said beside its tool calls: better than nothing where the run must end. */
export function lastText(messages: readonly ModelMessage[]): string {
  const reply = messages.findLast(({ role }) => role === "assistant");
  if (reply?.role !== "assistant") return "";
  if (typeof reply.content === "string") return reply.content;
  return reply.content.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("");
}
