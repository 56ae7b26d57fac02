import * as z from "zod";
import { MAX_TEXT_CHARS, cutText } from "../core/artifacts.ts";
import { type Attachment, defineTool, type ToolContext } from "../core/tool.ts";
import { type CodeResult, watchOf } from "../sandbox/driver.ts";
import { DEFAULT_HANDLE, handleName } from "../shared/handles.ts";
import { describeOutput, keepOutput } from "./output.ts";

/** More figures than that are no answer to read; the code can write them to files. */
const MAX_SHOWN_RESULTS = 20;
/** Taken from the sandbox; what does not fit into the result is kept in files. */
const MAX_CAPTURED_CHARS = 1_000_000;

export const interpreterRun = defineTool({
  name: "interpreter_run",
  title: "Run code",
  description:
    "Runs Python (IPython, pandas, matplotlib), JavaScript or TypeScript (Node); contexts keep variables. The last expression and figures come back. Your files are at /workspace/files.",
  input: z.strictObject({
    code: z.string().max(1_000_000).describe("What to run"),
    language: z.enum(["python", "javascript", "typescript"]).default("python").describe("Language"),
    context: handleName.describe("Which context"),
    fresh: z.boolean().optional().describe("Forget its variables first"),
    timeout_ms: z.int().min(100).max(45_000).default(40_000).describe("Then it is interrupted"),
  }),
  output: z.object({ text: z.string() }),
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true },
  scopes: ["interpreter:run"],
  handler: async ({ code, language, context, fresh: isFresh = false, timeout_ms: timeoutMs }, tool) => {
    const result = await tool
      .sandbox(DEFAULT_HANDLE)
      .runCode({ code, language, context, isFresh, timeoutMs, maxChars: MAX_CAPTURED_CHARS }, watchOf(tool));
    const kept = await Promise.all(
      result.results.slice(0, MAX_SHOWN_RESULTS).map((output) => keepOutput(output, tool)),
    );
    const whole = describeResult(result);
    const { text, isCut } = cutText(whole, MAX_TEXT_CHARS);
    const links = isCut ? [await keepWholeText(whole, tool)] : [];
    return { output: { text }, attachments: [...kept.flat(), ...links] };
  },
  text: ({ text }) => text,
});

function describeResult(result: CodeResult): string {
  const parts = [
    result.stdout.text,
    result.stderr.text === "" ? "" : `stderr:\n${result.stderr.text}`,
    ...result.results.slice(0, MAX_SHOWN_RESULTS).map(describeOutput),
    result.error === undefined ? "" : result.error.traceback || `${result.error.name}: ${result.error.message}`,
    result.results.length > MAX_SHOWN_RESULTS ? `note: only the first ${MAX_SHOWN_RESULTS} results are shown.` : "",
    ...(result.notes ?? []).map((note) => `note: ${note}`),
  ].filter((part) => part !== "");
  return parts.length === 0 ? "(no output)" : parts.join("\n");
}

async function keepWholeText(text: string, { artifacts }: ToolContext): Promise<Attachment> {
  return await artifacts.attach({
    name: "output.txt",
    mimeType: "text/plain",
    content: text,
    madeBy: { tool: "interpreter_run" },
  });
}
