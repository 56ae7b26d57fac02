import * as z from "zod";
import type { Attachment, ToolContext } from "../core/tool.ts";
import { ToolError } from "../shared/errors.ts";
import { isHandleName } from "../shared/handles.ts";
import { STARTING, type Sandbox, type Watch } from "./driver.ts";
import type { CapturedOutput, OutputPosition, ProcessInfo, ProcessOutput } from "./process.ts";

/*
 * How processes are named and told of on the wire: a `process_id` says which sandbox it is in, and a `cursor` how much
 * of both outputs was shown, so that no tool has to be told either twice.
 */

export const processAnswer = z.object({
  process_id: z.string(),
  running: z.boolean(),
  exit_code: z.number().optional(),
  signal: z.string().optional(),
  timed_out: z.boolean().optional(),
  stdout: z.string(),
  stderr: z.string(),
  duration_ms: z.number(),
  reached: z.boolean(),
  cursor: z.string(),
  note: z.string().optional(),
});

/** A call's signal and its progress: output as it comes, and that a sandbox has to start first. */
export function watchOf({ signal, reportProgress }: ToolContext): Watch {
  return { signal, onOutput: reportProgress, onStarting: () => reportProgress(STARTING) };
}

/** A process's name beyond its sandbox. */
export function processHandle(sandbox: string, processId: string): string {
  return `${sandbox}:${processId}`;
}

export function parseProcessHandle(handle: string): { readonly sandbox: string; readonly processId: string } {
  const [sandbox = "", processId = "", ...rest] = handle.split(":");
  if (!isHandleName(sandbox) || processId === "" || rest.length > 0) {
    throw new ToolError("not_found", "There is no such process; sandbox_status lists them.");
  }
  return { sandbox, processId };
}

export function cursorOf({ stdout, stderr }: Outputs): string {
  return `${stdout.totalBytes}.${stderr.totalBytes}`;
}

export function parseCursor(cursor: string): OutputPosition {
  const [, stdout, stderr] = /^(\d{1,15})\.(\d{1,15})$/.exec(cursor) ?? [];
  if (stdout === undefined || stderr === undefined) {
    throw new ToolError("invalid_input", "That is no cursor; give the one of an earlier result, or leave it out.");
  }
  return { stdout: Number(stdout), stderr: Number(stderr) };
}

/** How a process is or ended, as every tool says it. */
export function describeEnd({
  exitCode,
  signal,
  hasTimedOut,
}: Pick<ProcessInfo, "exitCode" | "signal" | "hasTimedOut">) {
  return {
    ...(exitCode === undefined ? {} : { exit_code: exitCode }),
    ...(signal === undefined ? {} : { signal }),
    ...(hasTimedOut ? { timed_out: true } : {}),
  };
}

export function describeProcess(handle: string, output: ProcessOutput): z.input<typeof processAnswer> {
  const { isRunning, stdout, stderr, durationMs, isReached, notes = [] } = output;
  return {
    process_id: handle,
    running: isRunning,
    ...describeEnd(output),
    stdout: stdout.text,
    stderr: stderr.text,
    duration_ms: Math.round(durationMs),
    reached: isReached,
    cursor: cursorOf(output),
    ...(notes.length === 0 ? {} : { note: notes.join(" ") }),
  };
}

interface Outputs {
  readonly stdout: CapturedOutput;
  readonly stderr: CapturedOutput;
}

/** Whatever did not fit into a result is kept in the caller's files and linked. */
export async function keepCutOutput(
  sandbox: Sandbox,
  processId: string,
  outputs: Outputs,
  { artifacts }: ToolContext,
): Promise<Attachment[]> {
  const cut = (["stdout", "stderr"] as const).filter((stream) => outputs[stream].isCut);
  return await Promise.all(
    cut.map(async (stream) => {
      const info = await artifacts.keep({
        name: `${stream}.txt`,
        mimeType: "text/plain",
        content: await sandbox.readOutput(processId, stream),
        madeBy: { tool: "sandbox_exec", process_id: processId },
      });
      return { type: "link", path: info.path, mimeType: info.mimeType, sizeBytes: info.sizeBytes } as const;
    }),
  );
}
