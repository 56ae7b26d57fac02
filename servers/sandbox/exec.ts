import * as z from "zod";
import { MAX_TEXT_CHARS } from "../core/artifacts.ts";
import { defineTool } from "../core/tool.ts";
import { handleName } from "../shared/handles.ts";
import { watchOf } from "./driver.ts";
import { cursorOf, describeEnd, keepCutOutput, processHandle } from "./process-answer.ts";

const RUNNING_NOTE = "It is still running and goes on until timeout_ms; follow it with sandbox_wait.";

export const sandboxExec = defineTool({
  name: "sandbox_exec",
  title: "Run a command",
  description:
    "Runs bash in your Linux sandbox: /workspace, your files at /workspace/files; git, python3, node, rg. Commands share processes and localhost. One not done within wait_ms goes on as a process.",
  input: z.strictObject({
    command: z.string().min(1).max(1_000_000).describe("For bash"),
    cwd: z.string().min(1).max(4_000).optional().describe("Folder"),
    env: z
      .record(z.string(), z.string().max(100_000))
      .refine((env) => Object.keys(env).every((name) => /^[A-Za-z_]\w*$/.test(name)), "names are letters, digits and _")
      .optional()
      .describe("Variables"),
    stdin: z.string().max(10_000_000).optional().describe("Standard input"),
    input: z.enum(["open", "terminal"]).optional().describe("Take sandbox_send, by a pipe or a pty"),
    timeout_ms: z.int().min(100).max(86_400_000).default(600_000).describe("Then it is killed"),
    wait_ms: z.int().min(0).max(50_000).default(30_000).describe("Wait for its end"),
    background: z.boolean().optional().describe("Return at once"),
    sandbox: handleName.describe("Which sandbox"),
  }),
  output: z.object({
    exit_code: z.number().optional(),
    stdout: z.string(),
    stderr: z.string(),
    duration_ms: z.number(),
    signal: z.string().optional(),
    timed_out: z.boolean().optional(),
    process_id: z.string().optional(),
    cursor: z.string().optional(),
    note: z.string().optional(),
  }),
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true },
  scopes: ["sandbox:exec"],
  handler: async (input, context) => {
    const calledAtMs = Date.now();
    const sandbox = context.sandbox(input.sandbox);
    const result = await sandbox.exec(
      {
        command: input.command,
        ...(input.input === undefined ? {} : { input: input.input }),
        timeoutMs: input.timeout_ms,
        waitMs: input.background === true ? 0 : input.wait_ms,
        maxChars: MAX_TEXT_CHARS,
        ...(input.cwd === undefined ? {} : { cwd: input.cwd }),
        ...(input.env === undefined ? {} : { env: input.env }),
        ...(input.stdin === undefined ? {} : { stdin: input.stdin }),
      },
      watchOf(context),
    );
    const kept = await keepCutOutput(sandbox, result.processId, result, context, calledAtMs);
    const notes = [...(result.isRunning ? [RUNNING_NOTE] : []), ...(result.notes ?? []), ...kept.notes];
    const isFollowed = result.isRunning || input.background === true || kept.notes.length > 0;
    return {
      output: {
        ...describeEnd(result),
        stdout: result.stdout.text,
        stderr: result.stderr.text,
        duration_ms: Math.round(result.durationMs),
        ...(isFollowed ? { process_id: processHandle(input.sandbox, result.processId), cursor: cursorOf(result) } : {}),
        ...(notes.length === 0 ? {} : { note: notes.join(" ") }),
      },
      attachments: kept.attachments,
    };
  },
});
