import * as z from "zod";
import type { Attachment, ToolContext } from "../core/tool.ts";
import { ToolError } from "../shared/errors.ts";
import { isHandleName } from "../shared/handles.ts";
import type { Sandbox } from "./driver.ts";
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

export function describeProcess(
  handle: string,
  output: ProcessOutput,
  notes: readonly string[],
): z.input<typeof processAnswer> {
  const { isRunning, stdout, stderr, durationMs, isReached } = output;
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

/** Enough for tens of megabytes where nothing else is going on, and what is left of a call that waited for as long as it may. */
const KEEP_AT_LEAST_MS = 4_000;
/** On a busy machine that takes longer: whatever of this the call has left. */
const CALL_MS = 30_000;
/** Where a reader is who has seen nothing yet. */
export const NOTHING_SHOWN: OutputPosition = { stdout: 0, stderr: 0 };

/**
 * Whatever did not fit into a result is kept in the caller's files, from where the reader began, and linked. A result
 * is worth more than that: where it cannot be kept, a note says so.
 */
export async function keepCutOutput(
  sandbox: Sandbox,
  processId: string,
  outputs: Outputs,
  context: ToolContext,
  calledAtMs: number,
  after: OutputPosition = NOTHING_SHOWN,
): Promise<{ readonly attachments: readonly Attachment[]; readonly notes: readonly string[] }> {
  const keepMs = Math.max(KEEP_AT_LEAST_MS, calledAtMs + CALL_MS - Date.now());
  const cut = (["stdout", "stderr"] as const).filter((stream) => outputs[stream].isCut);
  const kept = await Promise.allSettled(
    cut.map(async (stream) => await within(keepMs, keepStream(sandbox, processId, stream, after[stream], context))),
  );
  return {
    attachments: kept.flatMap((one) => (one.status === "fulfilled" ? [one.value] : [])),
    notes: cut.flatMap((stream, index) => {
      if (kept[index]?.status === "fulfilled") return [];
      return [`What is left out of ${stream} could not be kept in your files; read it in parts with sandbox_wait.`];
    }),
  };
}

async function keepStream(
  sandbox: Sandbox,
  processId: string,
  stream: "stdout" | "stderr",
  skippedBytes: number,
  { artifacts }: ToolContext,
): Promise<Attachment> {
  const { body, sizeBytes } = await sandbox.readOutput(processId, stream);
  const left = Math.max(0, sizeBytes - skippedBytes);
  const { path, mimeType, ...kept } = await artifacts.keep({
    name: `${stream}.txt`,
    mimeType: "text/plain",
    content: { body: skippedBytes === 0 ? body : body.pipeThrough(skip(skippedBytes)), sizeBytes: left },
    madeBy: { tool: "sandbox_exec", process_id: processId },
  });
  return { type: "link", path, mimeType, sizeBytes: kept.sizeBytes };
}

function skip(bytes: number): TransformStream<Uint8Array, Uint8Array> {
  let left = bytes;
  return new TransformStream({
    transform: (chunk, controller) => {
      if (chunk.length > left) controller.enqueue(chunk.subarray(left));
      left = Math.max(0, left - chunk.length);
    },
  });
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new ToolError("timeout", "It took too long.")), ms);
  return await Promise.race([work, late.promise]).finally(() => clearTimeout(timer));
}
