import * as z from "zod";
import { ToolError } from "../shared/errors.ts";

/**
 * What the programs in `container/guest` say on their standard output, one JSON line each. They run where the
 * caller's code runs, so every line is parsed, and bounded, as hostile text.
 */
export const frame = z.union([
  z.object({ output: z.string() }),
  z.object({ result: z.unknown() }),
  z.object({
    refused: z.object({
      code: z.enum(["invalid_input", "not_found", "conflict", "forbidden", "limit_reached"]),
      message: z.string().max(5_000),
    }),
  }),
  z.object({ unmounted: z.literal(true) }),
  z.object({ unrestored: z.literal(true) }),
  z.object({ failed: z.string().max(5_000) }),
  /** Of the container's Durable Object, behind the program's last, with the mark that only the two sides know. */
  z.object({ notes: z.array(z.string().max(5_000)).max(100), mark: z.string() }),
]);

export type Frame = z.output<typeof frame>;

const capturedOutput = z.object({ text: z.string(), totalBytes: z.int().nonnegative(), isCut: z.boolean() });

export const commandResult = z.object({
  isRunning: z.boolean(),
  exitCode: z.int().exactOptional(),
  signal: z.string().max(20).exactOptional(),
  hasTimedOut: z.boolean(),
  stdout: capturedOutput,
  stderr: capturedOutput,
  durationMs: z.number().nonnegative(),
});

const processInfo = z.object({
  processId: z.string().max(64),
  command: z.string(),
  startedAtMs: z.number(),
  isRunning: z.boolean(),
  exitCode: z.int().exactOptional(),
  signal: z.string().max(20).exactOptional(),
  hasTimedOut: z.boolean(),
  durationMs: z.number().nonnegative(),
});

export const processList = z.array(processInfo).max(2_000);

export const processOutput = processInfo.extend({
  stdout: capturedOutput,
  stderr: capturedOutput,
  isReached: z.boolean(),
});

const OUT_OF_MEMORY =
  "The sandbox's memory was used up and the kernel ended a process in it; use less memory at a time.";
const LOST_OUTPUT =
  "The sandbox's disk was full, so not all that this command wrote was kept; delete files to make room.";
const troubles = { hasRunOutOfMemory: z.boolean().exactOptional(), hasLostOutput: z.boolean().exactOptional() };

/** The container's guest says only that they are so: no sentence of ours comes from where the caller's code runs. */
export const containerCommand = commandResult.extend(troubles).transform(withTroubles);
export const containerProcess = processOutput.extend(troubles).transform(withTroubles);

function withTroubles<Result extends object>({
  hasRunOutOfMemory,
  hasLostOutput,
  ...result
}: Result & { readonly hasRunOutOfMemory?: boolean; readonly hasLostOutput?: boolean }) {
  return withNotes(result, [
    ...(hasRunOutOfMemory === true ? [OUT_OF_MEMORY] : []),
    ...(hasLostOutput === true ? [LOST_OUTPUT] : []),
  ]);
}

/** A result with those notes behind its own; without any it stays as it is. */
export function withNotes<Result extends { readonly notes?: readonly string[] }>(
  result: Result,
  notes: readonly string[],
): Result & { readonly notes?: readonly string[] } {
  return notes.length === 0 ? result : { ...result, notes: [...(result.notes ?? []), ...notes] };
}

export const outputPosition = z.object({ stdout: z.int().nonnegative(), stderr: z.int().nonnegative() });

export const contextList = z
  .array(
    z.object({
      language: z.enum(["python", "javascript", "typescript"]),
      context: z.string().max(200),
      isBusy: z.boolean(),
    }),
  )
  .max(1_000);

const usage = z.object({ usedBytes: z.number().nonnegative(), limitBytes: z.number().nonnegative().exactOptional() });

/** What a container says of itself. */
export const containerUsage = z.object({ disk: usage, memory: usage, processCount: z.int().nonnegative() });

/** What a driver's own side says of a sandbox; what it costs is for the driver to know. */
export const sandboxStatus = z.object({
  driver: z.enum(["local", "container", "simulated"]),
  state: z.enum(["running", "asleep", "starting"]),
  uptimeMs: z.number().nonnegative().exactOptional(),
  disk: usage.exactOptional(),
  memory: usage.exactOptional(),
  processCount: z.int().nonnegative().exactOptional(),
  notes: z.array(z.string().max(2_000)).max(100).exactOptional(),
});

const form = z.string().exactOptional();

export const codeResult = z.object({
  stdout: capturedOutput,
  stderr: capturedOutput,
  results: z.array(
    z.object({ text: form, html: form, markdown: form, latex: form, svg: form, json: form, png: form, jpeg: form }),
  ),
  error: z.object({ name: z.string(), message: z.string(), traceback: z.string() }).exactOptional(),
  durationMs: z.number().nonnegative(),
});

export const fileInfo = z.object({ kind: z.enum(["file", "none", "other"]), sizeBytes: z.int().nonnegative() });

/** Base64 of a part of a file. */
export const fileSlice = z.string();

/** Enough for the largest result; a guest that says more without ending the line has been tampered with. */
const MAX_LINE_CHARS = 40_000_000;

/** Puts lines together from pieces that were cut anywhere. */
export class FrameReader {
  #pieces: string[] = [];
  #heldChars = 0;

  *read(piece: string): Generator<Frame> {
    let start = 0;
    for (let end = piece.indexOf("\n"); end !== -1; end = piece.indexOf("\n", start)) {
      yield parseFrame(this.#pieces.join("") + piece.slice(start, end));
      this.#pieces = [];
      this.#heldChars = 0;
      start = end + 1;
    }
    this.#heldChars += piece.length - start;
    if (this.#heldChars > MAX_LINE_CHARS) throw unreadable();
    this.#pieces.push(piece.slice(start));
  }
}

export function parseFrame(line: string): Frame {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw unreadable(error);
  }
  return parseGuest(frame, value);
}

export function parseGuest<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw unreadable(parsed.error);
  return parsed.data;
}

function unreadable(cause?: unknown): ToolError {
  return new ToolError("unavailable", "The sandbox answered with something unreadable; try again.", { cause });
}
