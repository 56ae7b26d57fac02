import type { Scope } from "../../auth/scopes.ts";
import { describeFailure } from "../core/log.ts";
import { ToolError } from "../shared/errors.ts";
import { SECONDS_USED_UP, type StepContext, endRun, lastText, leftMs, withDeadline } from "./step-context.ts";
import { runTool } from "./tool-step.ts";
import { openRequests } from "./transcript.ts";
import { askModel } from "./turn.ts";

const ACCESS_LOST = new ToolError(
  "forbidden",
  "The grant that this run acts under is gone or no longer covers sub-agents; sign in again to start another.",
);
/** Where nobody can say whether the grant still holds, nothing is done meanwhile. */
const GRANT_WAIT_MS = 2_000;
const TURNS_USED_UP = new ToolError("limit_reached", "budget.turns is used up; give more.");

/**
 * Runs one tool call that the model asked for or, where none is open, asks the model once. Everything is written
 * down before it is done and after, so that a step which an eviction cut off is noticed by the next. Returns how
 * long to wait before the next step, or `undefined` where there is none: the run has ended, or waits for an answer.
 */
export async function takeStep(context: StepContext): Promise<number | undefined> {
  const { transcript, now } = context;
  if (transcript.read().status !== "running") return undefined;
  if (leftMs(transcript.read(), now()) <= 0) {
    return endRun(context, "budget_exhausted", SECONDS_USED_UP, lastText(transcript.messages()));
  }
  const refusal = await lookAtStanding(context);
  if (transcript.read().status !== "running") return undefined;
  if (refusal === "unknown") return GRANT_WAIT_MS;
  if (refusal !== undefined) {
    const status = refusal.code === "forbidden" ? "cancelled" : "budget_exhausted";
    return endRun(context, status, refusal, lastText(transcript.messages()));
  }
  const grant = await lookAtGrant(context);
  if (transcript.read().status !== "running") return undefined;
  if (grant === "unknown") return GRANT_WAIT_MS;
  if (grant === "gone") return endRun(context, "failed", ACCESS_LOST);
  // The next step acts with what is left.
  if (grant === "narrowed") return 0;
  const run = transcript.read();
  if (run.sandboxMode === "fork" && !run.isForked) return await forkSandbox(context);
  const messages = transcript.messages();
  if (run.turns >= run.budget.turns) {
    return endRun(context, "budget_exhausted", TURNS_USED_UP, lastText(messages));
  }
  const [request] = openRequests(messages);
  return request === undefined ? await askModel(context, run, messages) : await runTool(context, run, request);
}

/** Why the run's person may not go on, if so. */
async function lookAtStanding({ transcript, host, log }: StepContext): Promise<ToolError | "unknown" | undefined> {
  try {
    await host.checkStanding();
    return undefined;
  } catch (failure) {
    if (failure instanceof ToolError && failure.code !== "unavailable") return failure;
    log.error("standing not looked up", { run: transcript.read().runId, failure: describeFailure(failure) });
    return "unknown";
  }
}

/** Takes from the run what its caller's grant no longer allows. */
async function lookAtGrant(context: StepContext): Promise<"same" | "narrowed" | "gone" | "unknown"> {
  const { transcript, host, log } = context;
  let scopes: readonly Scope[] | undefined;
  try {
    scopes = await host.scopesNow();
  } catch (failure) {
    log.error("grant not looked up", { run: transcript.read().runId, failure: describeFailure(failure) });
    return "unknown";
  }
  if (scopes?.includes("delegate:run") !== true) return "gone";
  const { caller, status } = transcript.read();
  const left = caller.scopes.filter((scope) => scopes.includes(scope));
  if (left.length === caller.scopes.length || status !== "running") return "same";
  transcript.update({ caller: { ...caller, scopes: left } });
  return "narrowed";
}

/** A copy that takes longer than the run has is not waited for; whatever comes of it is discarded at the end. */
async function forkSandbox(context: StepContext): Promise<number | undefined> {
  const { transcript, host, now } = context;
  transcript.update({ activity: "copying the sandbox" });
  try {
    await withDeadline(context, leftMs(transcript.read(), now()), SECONDS_USED_UP, async (signal) => {
      const ended = Promise.withResolvers<never>();
      signal.addEventListener("abort", () => ended.reject(signal.reason));
      if (signal.aborted) ended.reject(signal.reason);
      await Promise.race([host.forkSandbox(), ended.promise]);
    });
  } catch (failure) {
    if (transcript.read().status !== "running") return undefined;
    if (failure === SECONDS_USED_UP) return endRun(context, "budget_exhausted", SECONDS_USED_UP);
    throw failure;
  }
  if (transcript.read().status !== "running") return undefined;
  transcript.update({ isForked: true });
  return 0;
}
