import * as z from "zod";
import { sha256Hex } from "../../auth/secrets.ts";
import type { CallEnd } from "../core/call.ts";
import type { Tool } from "../core/tool.ts";
import { ToolError } from "../shared/errors.ts";
import { SECONDS_USED_UP, type StepContext, endRun, lastText, leftMs, withDeadline } from "./step-context.ts";
import { ASK_CALLER, askCallerInput, describeEnd, offeredTools } from "./toolbox.ts";
import { type KeptFile, type RunRecord, type ToolRequest, toolResult } from "./transcript.ts";

/** The same call so many times in a row goes nowhere. */
const LOOP_CALLS = 3;
/** Who waits for something may well ask the same again. */
const MAY_REPEAT = new Set(["delegate_status", "sandbox_wait", "browser_wait"]);
const MAX_ARTIFACTS = 100;

const CUT_OFF = "This call was cut off and may have taken effect or not; look before you repeat it.";

/** Runs one tool call and writes down what came of it. Returns as `takeStep` does. */
export async function runTool(context: StepContext, run: RunRecord, request: ToolRequest): Promise<number | undefined> {
  const { transcript, host, now } = context;
  if (run.inFlight === "tool") {
    transcript.update({ inFlight: "none" }, [toolResult(request, CUT_OFF, true)]);
    return 0;
  }
  const lastCall = await countCall(run, request);
  if (transcript.read().status !== "running") return undefined;
  if (lastCall.count >= LOOP_CALLS) {
    const message = `The sub-agent called ${request.name} ${LOOP_CALLS} times in a row with the same input; put the task differently.`;
    return endRun(context, "loop_detected", new ToolError("conflict", message), lastText(transcript.messages()));
  }
  if (request.name === ASK_CALLER) return askCaller(context, { ...run, lastCall }, request);
  const tool = offeredTools(context.tools, run).find(({ name }) => name === request.name);
  if (tool === undefined) {
    const text = `not_found: There is no tool ${request.name}, or this run may not use it.`;
    transcript.update({ lastCall }, [toolResult(request, text, true)]);
    return 0;
  }
  transcript.update({
    lastCall,
    inFlight: "tool",
    activity: `turn ${run.turns}: ${tool.name}`,
    toolCalls: { ...run.toolCalls, [tool.name]: (run.toolCalls[tool.name] ?? 0) + 1 },
  });
  const ended = await withDeadline(
    context,
    leftMs(run, now()),
    SECONDS_USED_UP,
    async (signal) => await host.callTool(tool, request.input, signal),
  );
  const left = { ...artifactsAfter(context, ended), ...processesAfter(transcript.read(), tool, ended) };
  if (transcript.read().status !== "running") {
    transcript.update(left);
    return undefined;
  }
  const { text, isError } = describeEnd(ended);
  transcript.update({ ...left, inFlight: "none" }, [toolResult(request, text, isError)]);
  return 0;
}

async function countCall(run: RunRecord, { name, input }: ToolRequest): Promise<{ digest: string; count: number }> {
  const digest = await sha256Hex(JSON.stringify([name, input]));
  const isRepeated = run.lastCall?.digest === digest && !MAY_REPEAT.has(name);
  return { digest, count: isRepeated ? (run.lastCall?.count ?? 0) + 1 : 1 };
}

/** The run stands still until its caller answers, or its time is up. */
function askCaller(
  { transcript }: StepContext,
  { turns, lastCall }: RunRecord,
  request: ToolRequest,
): number | undefined {
  const parsed = askCallerInput.safeParse(request.input);
  if (!parsed.success) {
    transcript.update({ lastCall }, [toolResult(request, "invalid_input: Give one question.", true)]);
    return 0;
  }
  const { question } = parsed.data;
  transcript.update({ lastCall, status: "input_required", activity: `turn ${turns}: asks its caller`, question });
  return undefined;
}

/** The files that the run's calls wrote, and those that their answers link. */
function artifactsAfter({ transcript, takeFiles }: StepContext, ended: CallEnd): Pick<RunRecord, "artifacts"> {
  const linked = ended.ok ? ended.outcome.attachments.filter(({ type }) => type === "link") : [];
  const files = [...transcript.read().artifacts];
  for (const found of [...takeFiles(), ...linked]) {
    if (!("path" in found)) continue;
    const file: KeptFile = { path: found.path, mimeType: found.mimeType, sizeBytes: found.sizeBytes };
    const index = files.findIndex(({ path }) => path === file.path);
    if (index >= 0) files[index] = file;
    else if (files.length < MAX_ARTIFACTS) files.push(file);
  }
  return { artifacts: files };
}

const startedProcess = z.object({ process_id: z.string(), exit_code: z.undefined().optional() });

/** The commands that go on by themselves: a run that does not complete takes them along. */
function processesAfter(run: RunRecord, tool: Tool, ended: CallEnd): Partial<Pick<RunRecord, "processes">> {
  if (tool.name !== "sandbox_exec" || !ended.ok) return {};
  const started = startedProcess.safeParse(ended.outcome.data);
  return started.success ? { processes: [...run.processes, started.data.process_id] } : {};
}
