import * as z from "zod";
import type { CapturedOutput } from "../../../servers/sandbox/process.ts";

const form = z.string().exactOptional();
export const formsSchema = z.object({
  ...{ text: form, html: form, markdown: form, latex: form },
  ...{ svg: form, json: form, png: form, jpeg: form },
});
export const errorSchema = z.object({
  name: z.string().max(1_000),
  message: z.string().max(100_000),
  traceback: z.string().max(100_000),
});

export type CodeError = z.output<typeof errorSchema>;

/** As `CodeResult` of the driver. */
export interface CodeRunResult {
  readonly stdout: CapturedOutput;
  readonly stderr: CapturedOutput;
  readonly results: readonly z.output<typeof formsSchema>[];
  readonly error?: CodeError;
  readonly durationMs: number;
  readonly notes: readonly string[];
}

/** Where the context's process has ended. */
export function crashed(reason: string): CodeError {
  return {
    name: "ContextCrashed",
    message: `${reason} The context's variables are lost; the next run starts it afresh.`,
    traceback: "",
  };
}

/** Where the code was interrupted. */
export function stopped(error: CodeError, isKept: boolean, timeoutMs: number): CodeError {
  const after = `The code was interrupted after ${timeoutMs} ms`;
  if (!isKept) {
    return {
      name: "Interrupted",
      message: `${after} and did not stop, so that its context was ended: its variables are lost.`,
      traceback: "",
    };
  }
  if (error.name !== "KeyboardInterrupt" && error.name !== "Interrupted") return error;
  const message = `${after}; variables that it has set are kept.`;
  return { name: "Interrupted", message, traceback: `${error.traceback}\nInterrupted: ${message}`.trim() };
}
