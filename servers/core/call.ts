import type { Caller } from "../../auth/caller.ts";
import type { Scope } from "../../auth/scopes.ts";
import { ToolError } from "../shared/errors.ts";
import { type LimitName, LimitReached } from "../shared/limits.ts";
import type { Gate, OnPause } from "./gate.ts";
import { describeFailure, type Log } from "./log.ts";
import type { Capabilities, Tool, ToolOutcome } from "./tool.ts";
import type { UsageReport } from "./usage-report.ts";

/** Clients give up soon after; longer work returns a handle before. */
const CALL_DEADLINE_MS = 55_000;

/** How one call ended, for the books. */
export interface FinishedCall {
  readonly id: string;
  readonly tool: string;
  readonly input: unknown;
  /** `ok`, or the error's code. */
  readonly outcome: string;
  readonly atMs: number;
  readonly durationMs: number;
  readonly outputBytes: number;
  /** The limit that refused it, where one did. */
  readonly hit?: LimitName;
}

/** Who calls, with what at hand, and where the call is written down. */
export interface CallPipeline {
  readonly caller: Caller;
  readonly capabilities: Capabilities;
  readonly log: Log;
  /** Whether the caller may go on now. */
  readonly gate: Gate;
  /** What each call costs by itself, in billionths of a US dollar. */
  readonly callNanoUsd: number;
  /** What the caller has used of the day, and what is left. */
  readonly readUsage: () => Promise<UsageReport>;
  /** Writes the books off the caller's path; never throws. */
  readonly record: (call: FinishedCall) => void;
}

export interface CallWatch {
  readonly signal: AbortSignal;
  readonly reportProgress: (message: string) => void;
}

export type CallEnd<Outcome = ToolOutcome> =
  | { readonly ok: true; readonly outcome: Outcome; readonly durationMs: number }
  | { readonly ok: false; readonly error: ToolError; readonly durationMs: number };

/**
 * The one way a tool is called, by a client or by a sub-agent: scope, limits, input, deadline, handler, output by its
 * schema, one entry in the books. Never rejects.
 */
export async function callTool(tool: Tool, input: unknown, pipeline: CallPipeline, watch: CallWatch): Promise<CallEnd> {
  return await callRecorded(
    tool,
    input,
    pipeline,
    outputBytes,
    async (onPause) => await run(tool, input, pipeline, watch, onPause),
  );
}

/** What is called: a tool, or a method of MCP that reaches what is the caller's. */
export interface Callable {
  readonly name: string;
  readonly scopes: readonly Scope[];
}

/** Does what a caller with those scopes, within their limits, asked for, and leaves one entry in the books. Never rejects. */
export async function callRecorded<Outcome>(
  { name, scopes }: Callable,
  input: unknown,
  pipeline: Pick<CallPipeline, "caller" | "log" | "gate" | "record">,
  sizeOf: (outcome: Outcome) => number,
  work: (onPause: OnPause) => Promise<Outcome>,
): Promise<CallEnd<Outcome>> {
  const id = crypto.randomUUID();
  const atMs = Date.now();
  const startedMs = performance.now();
  const admitted = async (): Promise<Outcome> => await pipeline.gate.pass(name, work);
  const end = await withScopes({ name, scopes }, pipeline.caller, admitted).then(
    (outcome): CallEnd<Outcome> => ({ ok: true, outcome, durationMs: performance.now() - startedMs }),
    (failure: unknown): CallEnd<Outcome> => ({
      ok: false,
      error: asToolError(failure, id, name, pipeline.log),
      durationMs: performance.now() - startedMs,
    }),
  );
  pipeline.record({
    id,
    tool: name,
    input,
    outcome: end.ok ? "ok" : end.error.code,
    atMs,
    durationMs: end.durationMs,
    outputBytes: end.ok ? sizeOf(end.outcome) : 0,
    ...(!end.ok && end.error instanceof LimitReached ? { hit: end.error.limit } : {}),
  });
  return end;
}

async function withScopes<T>({ name, scopes }: Callable, caller: Caller, work: () => Promise<T>): Promise<T> {
  const missing = scopes.filter((scope) => !caller.scopes.includes(scope));
  if (missing.length === 0) return await work();
  throw new ToolError("forbidden", `${name} needs the scope ${missing.join(" ")}; sign in again and allow it.`);
}

/** The tool's outcome, or an error as soon as the call is given up, whether or not the tool takes notice. */
async function run(
  tool: Tool,
  input: unknown,
  { caller, capabilities }: CallPipeline,
  watch: CallWatch,
  onPause: OnPause,
): Promise<ToolOutcome> {
  // The SDK aborts its signal after every call, done or not: `AbortSignal.any` would pass that on, at a price.
  const call = new AbortController();
  const givenUp = Promise.withResolvers<never>();
  const giveUp = (error: ToolError): void => {
    call.abort();
    givenUp.reject(error);
  };
  const onCancel = (): void => giveUp(new ToolError("cancelled", "The call was cancelled by the client."));
  const timer = setTimeout(() => {
    giveUp(new ToolError("timeout", `The call took longer than ${CALL_DEADLINE_MS / 1000} s; do it in smaller steps.`));
  }, CALL_DEADLINE_MS);
  watch.signal.addEventListener("abort", onCancel, { once: true });
  if (watch.signal.aborted) onCancel();
  onPause(giveUp);
  try {
    const work = tool.run(input, { ...capabilities, ...watch, caller, signal: call.signal });
    return await Promise.race([work, givenUp.promise]);
  } finally {
    clearTimeout(timer);
    watch.signal.removeEventListener("abort", onCancel);
  }
}

/** Expected failures as they are; anything else is a defect, logged under a reference that the client is shown. */
function asToolError(failure: unknown, id: string, name: string, log: Log): ToolError {
  if (failure instanceof ToolError) {
    if (failure.cause !== undefined) {
      log.info("tool failed", { call: id, tool: name, code: failure.code, cause: describeFailure(failure.cause) });
    }
    return failure;
  }
  log.error("tool broke", { call: id, tool: name, failure: describeFailure(failure) });
  return new ToolError("internal", `Something broke in Pincer; tell whoever runs it the reference ${id}.`);
}

function outputBytes({ text, attachments }: ToolOutcome): number {
  return attachments.reduce((sum, item) => sum + (item.type === "image" ? item.base64.length : 0), text.length);
}
