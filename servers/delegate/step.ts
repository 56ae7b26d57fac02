import { ToolError } from "../shared/errors.ts";
import { SECONDS_USED_UP, type StepContext, endRun, lastText, leftMs } from "./step-context.ts";
import { runTool } from "./tool-step.ts";
import { type RunRecord, openRequests } from "./transcript.ts";
import { askModel } from "./turn.ts";

const ACCESS_LOST = new ToolError(
  "forbidden",
  "The grant that this run acts under is gone or no longer covers sub-agents; sign in again to start another.",
);
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
  const run = await withCurrentScopes(context);
  if (run === undefined) {
    return transcript.read().status === "running" ? endRun(context, "failed", ACCESS_LOST) : undefined;
  }
  if (run.sandboxMode === "fork" && !run.isForked) return await forkSandbox(context);
  const messages = transcript.messages();
  if (run.turns >= run.budget.turns) {
    return endRun(context, "budget_exhausted", TURNS_USED_UP, lastText(messages));
  }
  const [request] = openRequests(messages);
  return request === undefined ? await askModel(context, run, messages) : await runTool(context, run, request);
}

/** The run with no more scopes than its caller's grant has by now; `undefined` where it may not go on, or has ended. */
async function withCurrentScopes({ transcript, host }: StepContext): Promise<RunRecord | undefined> {
  const scopes = await host.scopesNow();
  const run = transcript.read();
  if (scopes === undefined || !scopes.includes("delegate:run") || run.status !== "running") return undefined;
  return { ...run, caller: { ...run.caller, scopes: run.caller.scopes.filter((scope) => scopes.includes(scope)) } };
}

async function forkSandbox({ transcript, host }: StepContext): Promise<number | undefined> {
  transcript.update({ activity: "copying the sandbox" });
  await host.forkSandbox();
  if (transcript.read().status !== "running") return undefined;
  transcript.update({ isForked: true });
  return 0;
}
