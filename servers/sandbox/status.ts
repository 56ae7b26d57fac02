import * as z from "zod";
import { defineTool } from "../core/tool.ts";
import { handleName } from "../shared/handles.ts";
import { describeEnd, processHandle } from "./process-answer.ts";

/** The newest; what came before is of no use to a reader. */
const MAX_SHOWN_PROCESSES = 50;
const MAX_COMMAND_CHARS = 200;

const usage = z.object({ used_bytes: z.number(), limit_bytes: z.number().optional() });

export const sandboxStatus = defineTool({
  name: "sandbox_status",
  title: "Sandbox status",
  description: "Shows state, disk, memory, cost, processes and code contexts.",
  input: z.strictObject({ sandbox: handleName.describe("Which sandbox") }),
  output: z.object({
    driver: z.string(),
    state: z.string(),
    uptime_ms: z.number().optional(),
    disk: usage.optional(),
    memory: usage.optional(),
    process_count: z.number().optional(),
    cost_usd: z.number(),
    snapshot_age_s: z.number().optional(),
    processes: z.array(
      z.object({
        process_id: z.string(),
        command: z.string(),
        running: z.boolean(),
        exit_code: z.number().optional(),
        signal: z.string().optional(),
        timed_out: z.boolean().optional(),
        started_at: z.string(),
        duration_ms: z.number(),
      }),
    ),
    contexts: z.array(z.object({ language: z.string(), context: z.string(), busy: z.boolean() })),
    note: z.string().optional(),
  }),
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  scopes: ["sandbox:exec"],
  handler: async ({ sandbox: name }, context) => {
    const sandbox = context.sandbox(name);
    const [status, processes, contexts] = await Promise.all([
      sandbox.status(),
      sandbox.listProcesses(),
      sandbox.listContexts(),
    ]);
    return {
      output: {
        driver: status.driver,
        state: status.state,
        ...(status.uptimeMs === undefined ? {} : { uptime_ms: Math.round(status.uptimeMs) }),
        ...(status.disk === undefined ? {} : { disk: describeUsage(status.disk) }),
        ...(status.memory === undefined ? {} : { memory: describeUsage(status.memory) }),
        ...(status.processCount === undefined ? {} : { process_count: status.processCount }),
        cost_usd: status.costUsd,
        ...(status.snapshot === undefined ? {} : { snapshot_age_s: Math.round(status.snapshot.ageMs / 1_000) }),
        processes: processes.slice(0, MAX_SHOWN_PROCESSES).map((process) => ({
          process_id: processHandle(name, process.processId),
          command: shorten(process.command),
          running: process.isRunning,
          ...describeEnd(process),
          started_at: new Date(process.startedAtMs).toISOString(),
          duration_ms: Math.round(process.durationMs),
        })),
        contexts: contexts.map(({ language, context, isBusy }) => ({ language, context, busy: isBusy })),
        ...(status.notes === undefined || status.notes.length === 0 ? {} : { note: status.notes.join(" ") }),
      },
    };
  },
});

export const sandboxReset = defineTool({
  name: "sandbox_reset",
  title: "Reset a sandbox",
  description: "Ends everything in a sandbox and empties /workspace, but for /workspace/files.",
  input: z.strictObject({ sandbox: handleName.describe("Which sandbox") }),
  output: z.object({ sandbox: z.string(), reset: z.boolean() }),
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false },
  scopes: ["sandbox:exec"],
  handler: async ({ sandbox }, context) => {
    await context.sandbox(sandbox).reset();
    return { output: { sandbox, reset: true } };
  },
});

function describeUsage({ usedBytes, limitBytes }: { readonly usedBytes: number; readonly limitBytes?: number }) {
  return { used_bytes: usedBytes, ...(limitBytes === undefined ? {} : { limit_bytes: limitBytes }) };
}

function shorten(command: string): string {
  return command.length <= MAX_COMMAND_CHARS ? command : `${command.slice(0, MAX_COMMAND_CHARS).toWellFormed()}…`;
}
