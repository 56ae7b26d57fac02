import { ToolError } from "../shared/errors.ts";
import { type StepContext, endRun, lastText, withDeadline } from "./step-context.ts";
import { describeEnd, offeredTools } from "./toolbox.ts";
import { type RunRecord, type ToolRequest, openRequests, toolResult } from "./transcript.ts";
import { askModel } from "./turn.ts";

const SECONDS_USED_UP = new ToolError("limit_reached", "budget.seconds is used up; give more.");
const STEPS_USED_UP = new ToolError("limit_reached", "budget.steps is used up; give more.");

/**
 * Runs one tool call that the model asked for or, where none is open, asks the model once. Everything is written
 * down before it is done and after, so that a step which an eviction cut off is noticed by the next. Returns how
 * long to wait before the next step, or `undefined` where the run has ended.
 */
export async function takeStep(context: StepContext): Promise<number | undefined> {
  const run = context.transcript.read();
  if (run.state !== "running") return undefined;
  const leftMs = run.startedAtMs + run.budget.seconds * 1_000 - context.now();
  if (leftMs <= 0) return endRun(context, "budget_exhausted", SECONDS_USED_UP);
  const messages = context.transcript.messages();
  if (run.steps >= run.budget.steps) {
    return endRun(context, "budget_exhausted", STEPS_USED_UP, lastText(messages));
  }
  const [request] = openRequests(messages);
  return request === undefined
    ? await askModel(context, run, messages, leftMs)
    : await runTool(context, run, request, leftMs);
}

async function runTool(
  context: StepContext,
  run: RunRecord,
  request: ToolRequest,
  leftMs: number,
): Promise<number | undefined> {
  const { transcript, toolbox } = context;
  if (run.inFlight === "tool") {
    const text = "This call was cut off and may have taken effect or not; look before you repeat it.";
    transcript.update({ inFlight: "none" }, [toolResult(request, text, true)]);
    return 0;
  }
  const tool = offeredTools(toolbox.tools, run.caller).find(({ name }) => name === request.name);
  if (tool === undefined) {
    transcript.update({}, [toolResult(request, `not_found: There is no tool ${request.name} any more.`, true)]);
    return 0;
  }
  transcript.update({
    inFlight: "tool",
    activity: `step ${run.steps}: ${tool.name}`,
    toolCalls: { ...run.toolCalls, [tool.name]: (run.toolCalls[tool.name] ?? 0) + 1 },
  });
  const ended = await withDeadline(
    context,
    leftMs,
    SECONDS_USED_UP,
    async (signal) => await toolbox.callTool(tool, request.input, signal),
  );
  if (transcript.read().state !== "running") return undefined;
  const { text, isError } = describeEnd(ended);
  transcript.update({ inFlight: "none" }, [toolResult(request, text, isError)]);
  return 0;
}
