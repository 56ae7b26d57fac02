import type { ModelMessage } from "ai";
import type { Log } from "../core/log.ts";
import { type ToolError, errorText } from "../shared/errors.ts";
import type { ModelEndpoint } from "./endpoint.ts";
import type { Toolbox } from "./toolbox.ts";
import type { RunState, Transcript } from "./transcript.ts";

/** What one step of a run works with. */
export interface StepContext {
  readonly transcript: Transcript;
  readonly toolbox: Toolbox;
  readonly endpoint: ModelEndpoint;
  readonly fetcher: typeof fetch;
  readonly log: Log;
  readonly now: () => number;
  /** Aborts when the run is cancelled. */
  readonly signal: AbortSignal;
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

/** Ends the run for a reason that the caller is told, with whatever answer there is. */
export function endRun({ transcript, now }: StepContext, state: RunState, error: ToolError, answer = ""): undefined {
  transcript.update({
    state,
    activity: state,
    inFlight: "none",
    endedAtMs: now(),
    error: errorText(error),
    ...(answer === "" ? {} : { answer }),
  });
}

/** What the model last said beside its tool calls: better than nothing where the run must end. */
export function lastText(messages: readonly ModelMessage[]): string {
  const reply = messages.findLast(({ role }) => role === "assistant");
  if (reply?.role !== "assistant") return "";
  if (typeof reply.content === "string") return reply.content;
  return reply.content.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("");
}
