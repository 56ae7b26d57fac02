import * as z from "zod";
import { MAX_TEXT_CHARS } from "../core/artifacts.ts";
import { type Attachment, defineTool, type ToolContext } from "../core/tool.ts";
import { handleName } from "../shared/handles.ts";
import type { CommandResult, Sandbox } from "./driver.ts";

const RUNNING_NOTE =
  "It is still running and goes on until timeout_ms; have a long command write to a file, and look at that with another call.";

export const sandboxExec = defineTool({
  name: "sandbox_exec",
  title: "Run a command",
  description:
    "Runs a bash command in your Linux sandbox: /workspace, with your files at /workspace/files; git, python3, node, rg. Commands share processes and localhost. One not finished within wait_ms goes on, with its process_id.",
  input: z.strictObject({
    command: z.string().min(1).max(1_000_000).describe("For bash -c"),
    cwd: z.string().min(1).max(4_000).optional().describe("Working directory"),
    env: z
      .record(z.string().regex(/^[A-Za-z_]\w*$/), z.string().max(100_000))
      .optional()
      .describe("More variables"),
    stdin: z.string().max(10_000_000).optional().describe("Standard input"),
    timeout_ms: z.int().min(100).max(86_400_000).default(600_000).describe("Then it is killed"),
    wait_ms: z.int().min(0).max(50_000).default(30_000).describe("Wait for the end"),
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
    note: z.string().optional(),
  }),
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true },
  scopes: ["sandbox:exec"],
  handler: async (input, context) => {
    const sandbox = context.sandbox(input.sandbox);
    const result = await sandbox.exec(
      {
        command: input.command,
        timeoutMs: input.timeout_ms,
        waitMs: input.wait_ms,
        maxChars: MAX_TEXT_CHARS,
        ...(input.cwd === undefined ? {} : { cwd: input.cwd }),
        ...(input.env === undefined ? {} : { env: input.env }),
        ...(input.stdin === undefined ? {} : { stdin: input.stdin }),
      },
      { signal: context.signal, onOutput: context.reportProgress },
    );
    const notes = [...(result.isRunning ? [RUNNING_NOTE] : []), ...(result.notes ?? [])];
    return {
      output: {
        ...(result.exitCode === undefined ? {} : { exit_code: result.exitCode }),
        stdout: result.stdout.text,
        stderr: result.stderr.text,
        duration_ms: Math.round(result.durationMs),
        ...(result.signal === undefined ? {} : { signal: result.signal }),
        ...(result.hasTimedOut ? { timed_out: true } : {}),
        ...(result.isRunning ? { process_id: result.processId } : {}),
        ...(notes.length === 0 ? {} : { note: notes.join(" ") }),
      },
      attachments: await keepCutOutput(sandbox, result, context),
    };
  },
});

/** Whatever did not fit into the result is kept in the caller's files and linked. */
async function keepCutOutput(
  sandbox: Sandbox,
  result: CommandResult,
  { artifacts }: ToolContext,
): Promise<Attachment[]> {
  const cut = (["stdout", "stderr"] as const).filter((stream) => result[stream].isCut);
  return await Promise.all(
    cut.map(async (stream) => {
      const info = await artifacts.keep({
        name: `${stream}.txt`,
        mimeType: "text/plain",
        content: await sandbox.readOutput(result.processId, stream),
        madeBy: { tool: "sandbox_exec", process_id: result.processId },
      });
      return { type: "link", path: info.path, mimeType: info.mimeType, sizeBytes: info.sizeBytes } as const;
    }),
  );
}
