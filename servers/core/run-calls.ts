import {
  type CallToolResult,
  type InputRequiredResult,
  type ServerContext,
  inputRequired,
} from "@modelcontextprotocol/server";
import * as z from "zod";
import type { RunReport } from "../delegate/run-report.ts";
import { ToolError } from "../shared/errors.ts";
import { type CallEnd, type CallPipeline, type CallWatch, callTool } from "./call.ts";
import { answerTo, answeredRun, canBeAsked, questionsOf } from "./run-questions.ts";
import { createdTask, takesTasks } from "./tasks.ts";
import type { Tool } from "./tool.ts";
import { toResult } from "./tool-result.ts";

/** A call of a tool that waits for a delegated run. */
interface RunCall {
  readonly tool: Tool;
  readonly input: Readonly<Record<string, unknown>>;
  /** Says how a run stands, and takes answers to what it asks. */
  readonly statusTool: Tool;
  readonly pipeline: CallPipeline;
  readonly watch: CallWatch;
  readonly context: ServerContext;
}

const RUN = "delegate_run";
/** The tool that says how a run stands. */
export const RUN_STATUS = "delegate_status";

/** Whether a tool's answer depends on what its client can do: take a task, or be asked. */
export function waitsForRun(toolName: string): boolean {
  return toolName === RUN || toolName === RUN_STATUS;
}

/**
 * Calls such a tool. A client that takes tasks gets one for the run that it starts, at once. One that can be asked is
 * asked what the run asks, and goes on waiting with its answer. Any other gets what the tool says.
 */
export async function callRunTool(call: RunCall): Promise<CallToolResult | InputRequiredResult> {
  const { tool, context } = call;
  const isTask = tool.name === RUN && takesTasks(context);
  const end = await callOrAnswer(call, isTask);
  const report = isTask || canBeAsked(context) ? await openRun(end, call) : undefined;
  if (report === undefined) return toResult(end, call.pipeline);
  if (isTask) return createdTask(report);
  const inputRequests = questionsOf(report);
  return inputRequests === undefined ? toResult(end, call.pipeline) : inputRequired({ inputRequests });
}

/** A call that comes back with answers starts nothing: it waits for the run that asked. */
async function callOrAnswer(call: RunCall, isTask: boolean): Promise<CallEnd> {
  const { tool, input, statusTool, pipeline, watch, context } = call;
  const runId = answeredRun(context);
  if (runId === undefined) return await callTool(tool, isTask ? { ...input, wait_ms: 0 } : input, pipeline, watch);
  const report = await look(runId, call);
  const answer = report === undefined ? undefined : answerTo(report, context);
  const status = {
    run_id: runId,
    ...(answer === undefined ? {} : { answer }),
    ...("wait_ms" in input ? { wait_ms: input["wait_ms"] } : {}),
  };
  return await callTool(statusTool, status, pipeline, watch);
}

const openRunSchema = z.object({ run_id: z.string(), status: z.enum(["running", "input_required"]) });

/** The run that a call has left open. */
async function openRun(end: CallEnd, call: RunCall): Promise<RunReport | undefined> {
  const said = openRunSchema.safeParse(end.ok ? end.outcome.data : undefined);
  return said.success ? await look(said.data.run_id, call) : undefined;
}

/** How a run stands now; nothing where nobody can say. */
async function look(runId: string, { pipeline, watch: { signal } }: RunCall): Promise<RunReport | undefined> {
  try {
    return await pipeline.capabilities.delegates.wait(runId, { waitMs: 0, signal, onProgress: () => undefined });
  } catch (failure) {
    if (failure instanceof ToolError) return undefined;
    throw failure;
  }
}
