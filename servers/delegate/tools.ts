import * as z from "zod";
import { MAX_TEXT_CHARS, cutText } from "../core/artifacts.ts";
import { type Answer, type Attachment, type ToolContext, defineTool } from "../core/tool.ts";
import { NANO_USD, budgetInput } from "./budget.ts";
import { isRunId } from "../shared/handles.ts";
import type { RunReport } from "./run-report.ts";
import { RUN_STATUSES, SANDBOX_MODES } from "./transcript.ts";

// Not by `regex`: whoever lists the tools would pay for the patterns.
const runId = z.string().refine(isRunId, "give a run_id as delegate_run answered it").describe("As answered");
const modelName = z
  .string()
  .refine((name) => /^[\w@./:-]{1,200}$/.test(name), "give a model's name as the endpoint has it");
const toolName = z.string().refine((name) => /^[a-z0-9_]{1,60}$/.test(name), "give names of tools");
const waitMs = z.int().min(0).max(50_000).default(30_000).describe("Then it goes on");

const MAX_SCHEMA_CHARS = 20_000;
const MAX_LINKS = 10;

const runOutput = z.object({
  run_id: z.string(),
  status: z.enum(RUN_STATUSES),
  result: z.json().optional(),
  error: z.string().optional(),
  question: z.string().optional(),
  activity: z.string().optional(),
  artifacts: z.array(z.string()).optional(),
  transcript: z.string().optional(),
  usage: z.object({
    input: z.number(),
    output: z.number(),
    cached: z.number(),
    /** What was counted for calls that nobody reported the use of. */
    unreported: z.number().optional(),
    usd: z.union([z.number(), z.literal("unknown")]),
    calls: z.number(),
  }),
  turns: z.number(),
  models_used: z.array(z.string()),
  tools_used: z.record(z.string(), z.number()),
  notes: z.array(z.string()).optional(),
});

export const delegateRun = defineTool({
  name: "delegate_run",
  title: "Delegate a task",
  description:
    "Hands a self-contained task to a sub-agent that works with these same tools under a budget, and returns its result, not its steps. What is not finished within wait_ms goes on: delegate_status follows it.",
  input: z.strictObject({
    task: z.string().min(1).max(100_000).describe("All it must know"),
    material: z.array(z.string().min(1).max(200_000)).max(20).optional().describe("Texts, or files:///path"),
    tools: z.array(toolName).max(60).optional().describe("Names; all of yours if left out"),
    model: modelName.optional().describe("By name"),
    fallbacks: z.array(modelName).max(5).optional().describe("Models to ask if it fails"),
    budget: budgetInput
      .prefault({})
      .describe("Whichever is used up first ends it; 200000 tokens, 20 turns, 600 seconds if left out"),
    output_schema: z
      .record(z.string(), z.unknown())
      .refine((schema) => JSON.stringify(schema).length <= MAX_SCHEMA_CHARS, "give a smaller schema")
      .optional()
      .describe("JSON Schema of the result"),
    sandbox_mode: z.enum(SANDBOX_MODES).default("share").describe("fork: a copy of yours"),
    wait_ms: waitMs,
    idempotency_key: z.string().min(1).max(200).optional().describe("Finds the run again"),
  }),
  output: runOutput,
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true },
  scopes: ["delegate:run"],
  handler: async (input, context) => {
    const { task, material = [], tools, model, fallbacks, budget, output_schema, sandbox_mode, wait_ms } = input;
    const report = await context.delegates.start(
      {
        task,
        material,
        budget,
        sandboxMode: sandbox_mode,
        ...(tools === undefined ? {} : { tools }),
        ...(model === undefined ? {} : { model }),
        ...(fallbacks === undefined ? {} : { fallbacks }),
        ...(output_schema === undefined ? {} : { outputSchema: output_schema }),
        ...(input.idempotency_key === undefined ? {} : { idempotencyKey: input.idempotency_key }),
      },
      { waitMs: wait_ms, signal: context.signal, onProgress: context.reportProgress },
    );
    return await describeReport(report, context);
  },
});

export const delegateStatus = defineTool({
  name: "delegate_status",
  title: "Follow a delegated task",
  description: "Waits until a run ends or asks something, and shows how it stands.",
  input: z.strictObject({
    run_id: runId,
    answer: z.string().min(1).max(100_000).optional().describe("To its question, if input_required"),
    wait_ms: waitMs,
  }),
  output: runOutput,
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  scopes: ["delegate:run"],
  handler: async ({ run_id, answer, wait_ms }, context) => {
    if (answer !== undefined) await context.delegates.answer(run_id, answer);
    const watch = { waitMs: wait_ms, signal: context.signal, onProgress: context.reportProgress };
    return await describeReport(await context.delegates.wait(run_id, watch), context);
  },
});

export const delegateCancel = defineTool({
  name: "delegate_cancel",
  title: "Cancel a delegated task",
  description: "Ends a run with whatever it is doing.",
  input: z.strictObject({ run_id: runId }),
  output: runOutput,
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false },
  scopes: ["delegate:run"],
  handler: async ({ run_id }, context) => await describeReport(await context.delegates.cancel(run_id), context),
});

export const delegateList = defineTool({
  name: "delegate_list",
  title: "List delegated tasks",
  description: "Your runs of the last week.",
  input: z.strictObject({}),
  output: z.object({
    runs: z.array(
      z.object({ run_id: z.string(), status: z.enum(RUN_STATUSES), task: z.string(), started_at: z.string() }),
    ),
  }),
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  scopes: ["delegate:run"],
  handler: async (_, { delegates }) => {
    const runs = await delegates.list();
    return {
      output: {
        runs: runs.map((run) => ({
          run_id: run.runId,
          status: run.status,
          task: run.title,
          started_at: new Date(run.startedAtMs).toISOString(),
        })),
      },
    };
  },
});

async function describeReport(report: RunReport, context: ToolContext): Promise<Answer<z.input<typeof runOutput>>> {
  const { ledger, unreportedTokens, artifacts, conversation, notes } = report;
  const { result, attachments } = await fitResult(report, context);
  const links = [...artifacts.slice(0, MAX_LINKS), ...(conversation === undefined ? [] : [conversation])];
  return {
    output: {
      run_id: report.runId,
      status: report.status,
      ...(result === undefined ? {} : { result }),
      ...(report.error === undefined ? {} : { error: report.error }),
      ...(report.question === undefined ? {} : { question: report.question }),
      ...(report.status === "running" ? { activity: report.activity } : {}),
      ...(artifacts.length === 0 ? {} : { artifacts: artifacts.map(({ path }) => path) }),
      ...(conversation === undefined ? {} : { transcript: conversation.path }),
      usage: {
        input: ledger.inputTokens,
        output: ledger.outputTokens,
        cached: ledger.cachedTokens,
        ...(unreportedTokens === 0 ? {} : { unreported: unreportedTokens }),
        usd: ledger.isCostKnown ? ledger.costNanoUsd / NANO_USD : "unknown",
        calls: ledger.calls,
      },
      turns: report.turns,
      models_used: [...report.modelsUsed],
      tools_used: report.toolCalls,
      ...(notes.length === 0 ? {} : { notes: [...notes] }),
    },
    attachments: [...attachments, ...links.map((file) => ({ type: "link", ...file }) as const)],
    ...(ledger.isCostKnown ? { nanoUsd: ledger.costNanoUsd } : {}),
  };
}

/** The result as it is, or its head and tail with the whole of it in a file. */
async function fitResult(
  { runId: id, result, isStructured }: RunReport,
  { artifacts }: ToolContext,
): Promise<{ result?: z.input<typeof runOutput>["result"]; attachments: readonly Attachment[] }> {
  if (result === undefined) return { attachments: [] };
  const { text, isCut } = cutText(result, MAX_TEXT_CHARS);
  if (!isCut) return { result: isStructured ? z.json().parse(JSON.parse(result)) : result, attachments: [] };
  const [name, mimeType] = isStructured ? ["result.json", "application/json"] : ["result.md", "text/markdown"];
  const kept = await artifacts.attach({
    name,
    mimeType,
    content: result,
    madeBy: { tool: "delegate_run", run_id: id },
  });
  return { result: text, attachments: [kept] };
}
