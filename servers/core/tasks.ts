import {
  CLIENT_CAPABILITIES_META_KEY,
  type CallToolResult,
  type InputRequests,
  MissingRequiredClientCapabilityError,
  type Server,
  type ServerContext,
} from "@modelcontextprotocol/server";
import * as z from "zod";
import { RUN_KEPT_MS } from "../account/run-table.ts";
import type { RunReport } from "../delegate/run-report.ts";
import { hasEnded } from "../delegate/transcript.ts";
import type { CallPipeline } from "./call.ts";
import { callMethod } from "./method-call.ts";
import { answerTo, canBeAsked, capabilitiesOf, questionsOf } from "./run-questions.ts";
import type { Tool } from "./tool.ts";
import { toResult } from "./tool-result.ts";

/* The extension io.modelcontextprotocol/tasks (SEP-2663): a delegated run is a task, by the same id. */

const EXTENSION = "io.modelcontextprotocol/tasks";

/** What the server advertises, and a client declares. */
export const TASKS_EXTENSION = { [EXTENSION]: {} };

/** A run takes seconds for each of its steps. */
const POLL_INTERVAL_MS = 2_000;

const SCOPES = ["delegate:run"] as const;
const taskParams = z.object({ taskId: z.string().max(100) });

/** A task without what belongs to its status alone. */
type Task = {
  readonly taskId: string;
  readonly status: "working" | "input_required" | "completed" | "cancelled";
  readonly statusMessage: string;
  readonly createdAt: string;
  readonly lastUpdatedAt: string;
  readonly ttlMs: number;
  readonly pollIntervalMs: number;
};

type DetailedTask = Task & { readonly inputRequests?: InputRequests; readonly result?: CallToolResult };

export function takesTasks(context: ServerContext): boolean {
  return capabilitiesOf(context).extensions?.[EXTENSION] !== undefined;
}

/** The answer to a call whose run has begun and is followed by `tasks/get`. The SDK adds the content to any result. */
export function createdTask(report: RunReport): CallToolResult {
  return { content: [], resultType: "task", ...describeTask(report, "working") };
}

/** Serves the methods of the extension. `statusTool` says of a run what the tool that started it says. */
export function serveTasks(server: Server, statusTool: Tool, pipeline: CallPipeline): void {
  const { delegates } = pipeline.capabilities;
  const record = async <Outcome>(
    { mcpReq: { method } }: ServerContext,
    taskId: string,
    work: () => Promise<Outcome>,
  ): Promise<Outcome> => await callMethod({ name: method, scopes: SCOPES }, { taskId }, pipeline, work);
  const find = async (taskId: string, { mcpReq }: ServerContext): Promise<RunReport> =>
    await delegates.wait(taskId, { waitMs: 0, signal: mcpReq.signal, onProgress: () => undefined });

  const resultOf = async (runId: string, { mcpReq }: ServerContext): Promise<CallToolResult> => {
    const startedMs = performance.now();
    const { caller, capabilities } = pipeline;
    const watch = { signal: mcpReq.signal, reportProgress: () => undefined };
    const outcome = await statusTool.run({ run_id: runId, wait_ms: 0 }, { ...capabilities, ...watch, caller });
    return toResult({ ok: true, outcome, durationMs: performance.now() - startedMs }, pipeline);
  };

  server.setRequestHandler("tasks/get", { params: taskParams }, async ({ taskId }, context) => {
    requireTasks(context);
    return await record(context, taskId, async (): Promise<DetailedTask> => {
      const report = await find(taskId, context);
      if (report.status === "running") return describeTask(report, "working");
      if (report.status === "cancelled") return describeTask(report, "cancelled");
      const inputRequests = questionsOf(report);
      // A client that cannot be asked gets the question as the result, for its model to answer.
      if (inputRequests !== undefined && canBeAsked(context)) {
        return { ...describeTask(report, "input_required"), inputRequests };
      }
      return { ...describeTask(report, "completed"), result: await resultOf(taskId, context) };
    });
  });
  server.setRequestHandler("tasks/update", { params: taskParams }, async ({ taskId }, context) => {
    requireTasks(context);
    return await record(context, taskId, async () => {
      const answer = answerTo(await find(taskId, context), context);
      if (answer !== undefined) await delegates.answer(taskId, answer);
      return {};
    });
  });
  server.setRequestHandler("tasks/cancel", { params: taskParams }, async ({ taskId }, context) => {
    requireTasks(context);
    return await record(context, taskId, async () => {
      await delegates.cancel(taskId);
      return {};
    });
  });
}

const listening = z.object({
  id: z.union([z.string(), z.int()]),
  method: z.literal("subscriptions/listen"),
  params: z.object({
    notifications: z.object({ taskIds: z.array(z.unknown()) }),
    _meta: z.object({
      [CLIENT_CAPABILITIES_META_KEY]: z.object({ extensions: z.record(z.string(), z.unknown()).default({}) }),
    }),
  }),
});

/** Whoever does not take tasks may not ask to be told of them either (SEP-2663, "Task Status Notifications"). */
export function refuseListening(body: unknown): Response | undefined {
  const asked = listening.safeParse(body);
  if (!asked.success || EXTENSION in asked.data.params._meta[CLIENT_CAPABILITIES_META_KEY].extensions) return undefined;
  const { code, message, data } = undeclared();
  return Response.json({ jsonrpc: "2.0", id: asked.data.id, error: { code, message, data } }, { status: 400 });
}

function requireTasks(context: ServerContext): void {
  if (!takesTasks(context)) throw undeclared();
}

function undeclared(): MissingRequiredClientCapabilityError {
  return new MissingRequiredClientCapabilityError({ requiredCapabilities: { extensions: TASKS_EXTENSION } });
}

function describeTask(report: RunReport, status: Task["status"]): Task {
  const { runId, activity, error, startedAtMs, endedAtMs } = report;
  return {
    taskId: runId,
    status,
    statusMessage: error ?? activity,
    createdAt: new Date(startedAtMs).toISOString(),
    lastUpdatedAt: new Date(hasEnded(report) && endedAtMs !== undefined ? endedAtMs : Date.now()).toISOString(),
    // A run is kept for longer: from its end on.
    ttlMs: RUN_KEPT_MS,
    pollIntervalMs: POLL_INTERVAL_MS,
  };
}
