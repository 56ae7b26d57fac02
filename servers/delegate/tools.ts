import * as z from "zod";
import { MAX_TEXT_CHARS, cutText } from "../core/artifacts.ts";
import { type Attachment, type ToolContext, defineTool } from "../core/tool.ts";
import { budgetInput } from "./budget.ts";
import type { RunReport } from "./run.ts";
import { RUN_STATES } from "./transcript.ts";

export const delegateRun = defineTool({
  name: "delegate_run",
  title: "Delegate a task",
  description:
    "Hands a self-contained task to a sub-agent that works with these same tools under a budget, and returns its answer. A run not finished within wait_ms goes on: call again with run_id alone to wait for it.",
  input: z
    .strictObject({
      task: z.string().min(1).max(100_000).optional().describe("All it must know; it cannot ask"),
      run_id: z
        .string()
        .regex(/^run-[0-9a-f]{16}$/)
        .optional()
        .describe("Wait for this run instead"),
      model: z
        .string()
        .regex(/^[\w@./:-]{1,200}$/)
        .optional()
        .describe("Model name at the endpoint"),
      budget: budgetInput.prefault({}).describe("Whichever ends first ends the run"),
      wait_ms: z.int().min(0).max(50_000).default(30_000).describe("Wait for the end"),
    })
    .refine(({ task, run_id }) => (task === undefined) !== (run_id === undefined), "Give either task or run_id"),
  output: z.object({
    run_id: z.string(),
    state: z.enum(RUN_STATES),
    answer: z.string().optional(),
    error: z.string().optional(),
    activity: z.string().optional(),
    model: z.string(),
    steps: z.number(),
    tokens_in: z.number(),
    tokens_out: z.number(),
    tokens_unreported: z.number().optional(),
    cost_usd: z.number().optional(),
    tools_used: z.record(z.string(), z.number()),
  }),
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true },
  scopes: ["delegate:run"],
  handler: async ({ task, run_id, model, budget, wait_ms }, context) => {
    const watch = { waitMs: wait_ms, signal: context.signal, onProgress: context.reportProgress };
    const report =
      task === undefined
        ? await context.delegates.wait(run_id ?? "", watch)
        : await context.delegates.start({ task, budget, ...(model === undefined ? {} : { model }) }, watch);
    const { text, isCut } = cutText(report.answer ?? "", MAX_TEXT_CHARS);
    return {
      output: {
        run_id: report.runId,
        state: report.state,
        ...(report.answer === undefined ? {} : { answer: text }),
        ...(report.error === undefined ? {} : { error: report.error }),
        ...(report.state === "running" ? { activity: report.activity } : {}),
        model: report.model,
        steps: report.steps,
        tokens_in: report.inputTokens,
        tokens_out: report.outputTokens,
        ...(report.unreportedTokens === 0 ? {} : { tokens_unreported: report.unreportedTokens }),
        ...(report.costUsd === undefined ? {} : { cost_usd: report.costUsd }),
        tools_used: report.toolCalls,
      },
      attachments: isCut ? [await keepAnswer(report, context)] : [],
    };
  },
});

async function keepAnswer({ runId, answer = "" }: RunReport, { artifacts }: ToolContext): Promise<Attachment> {
  return await artifacts.attach({
    name: "answer.md",
    mimeType: "text/markdown",
    content: answer,
    madeBy: { tool: "delegate_run", run_id: runId },
  });
}
