import * as z from "zod";
import { MAX_TEXT_CHARS } from "../core/artifacts.ts";
import { defineTool } from "../core/tool.ts";
import { ToolError } from "../shared/errors.ts";
import { watchOf } from "./driver.ts";
import {
  NOTHING_SHOWN,
  describeProcess,
  keepCutOutput,
  parseCursor,
  parseProcessHandle,
  processAnswer,
} from "./process-answer.ts";

const processId = z.string().min(1).max(200).describe("Process");
const pattern = z.string().min(1).max(1_000).optional().describe("Wait for this regex");

export const sandboxWait = defineTool({
  name: "sandbox_wait",
  title: "Follow a process",
  description:
    "Shows what a process wrote since cursor and how it ended, waiting for output, its end, a pattern or a port.",
  input: z.strictObject({
    process_id: processId,
    cursor: z.string().max(40).optional().describe("From its last result"),
    end: z.boolean().optional().describe("Wait for the end"),
    pattern,
    port: z.int().min(1).max(65_535).optional().describe("Wait until something listens"),
    wait_ms: z.int().min(0).max(50_000).default(10_000).describe("At most"),
  }),
  output: processAnswer,
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  scopes: ["sandbox:exec"],
  handler: async ({ process_id: handle, cursor, end, pattern, port, wait_ms: waitMs }, context) => {
    const calledAtMs = Date.now();
    const after = cursor === undefined ? NOTHING_SHOWN : parseCursor(cursor);
    const { sandbox: name, processId } = parseProcessHandle(handle);
    if ([end === true, pattern !== undefined, port !== undefined].filter(Boolean).length > 1) {
      throw new ToolError("invalid_input", "Wait for one thing: give end, pattern or port, not several.");
    }
    const sandbox = context.sandbox(name);
    const output = await sandbox.readProcess(
      processId,
      {
        after,
        waitMs,
        maxChars: MAX_TEXT_CHARS,
        ...(end === true ? { until: "end" as const } : {}),
        ...(pattern === undefined ? {} : { until: { pattern } }),
        ...(port === undefined ? {} : { until: { port } }),
      },
      watchOf(context),
    );
    const kept = await keepCutOutput(sandbox, processId, output, context, calledAtMs, after);
    return {
      output: describeProcess(handle, output, [...(output.notes ?? []), ...kept.notes]),
      attachments: kept.attachments,
    };
  },
});

export const sandboxSend = defineTool({
  name: "sandbox_send",
  title: "Write to a process",
  description:
    "Writes to a process started with input open or terminal, or signals any, and shows what it then writes.",
  input: z.strictObject({
    process_id: processId,
    text: z.string().max(500_000).optional().describe("With newline; \\u0003 is Ctrl-C"),
    end: z.boolean().optional().describe("Close its input"),
    signal: z.enum(["SIGINT", "SIGTERM", "SIGKILL", "SIGHUP"]).optional().describe("SIGKILL ends its tree"),
    pattern,
    wait_ms: z.int().min(0).max(50_000).default(5_000).describe("At most"),
  }),
  output: processAnswer,
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true },
  scopes: ["sandbox:exec"],
  handler: async ({ process_id: handle, text = "", end = false, signal, pattern, wait_ms: waitMs }, context) => {
    const calledAtMs = Date.now();
    const { sandbox: name, processId } = parseProcessHandle(handle);
    if ((text !== "" || end) === (signal !== undefined)) {
      throw new ToolError("invalid_input", "Give a text to write (or end), or a signal to send.");
    }
    const sandbox = context.sandbox(name);
    const after =
      signal === undefined
        ? await sandbox.writeInput(processId, { text, isEnd: end })
        : await sandbox.signalProcess(processId, signal);
    const until = pattern === undefined ? {} : { until: { pattern } };
    const output = await sandbox.readProcess(
      processId,
      { after, waitMs, maxChars: MAX_TEXT_CHARS, ...until },
      watchOf(context),
    );
    const kept = await keepCutOutput(sandbox, processId, output, context, calledAtMs, after);
    return {
      output: describeProcess(handle, output, [...(output.notes ?? []), ...kept.notes]),
      attachments: kept.attachments,
    };
  },
});
