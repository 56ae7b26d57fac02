import * as z from "zod";
import { PROCESS_SIGNALS } from "../../servers/sandbox/process.ts";

const target = { userId: z.string(), sandboxId: z.string() };
const command = z.object({
  command: z.string(),
  cwd: z.string().exactOptional(),
  env: z.record(z.string(), z.string()).exactOptional(),
  stdin: z.string().exactOptional(),
  input: z.enum(["closed", "open", "terminal"]).exactOptional(),
  isInternal: z.boolean().exactOptional(),
  timeoutMs: z.number(),
  waitMs: z.number(),
  maxChars: z.number(),
});
const code = z.object({
  code: z.string(),
  language: z.enum(["python", "javascript", "typescript"]),
  context: z.string(),
  isFresh: z.boolean().exactOptional(),
  timeoutMs: z.number(),
  maxChars: z.number(),
});
const read = z.object({
  after: z.object({ stdout: z.number(), stderr: z.number() }),
  waitMs: z.number(),
  until: z
    .union([z.object({ pattern: z.string() }), z.object({ port: z.number() }), z.enum(["end", "output"])])
    .exactOptional(),
  maxChars: z.number(),
});
const input = z.object({ text: z.string(), isEnd: z.boolean() });
const processId = z.string();

/** One call of the sandbox, or of the caller's files: the form field `call`; what is written is the field `bytes`. */
export const callSchema = z.discriminatedUnion("do", [
  z.object({ do: z.literal("exec"), command, ...target }),
  z.object({ do: z.literal("runCode"), code, ...target }),
  z.object({ do: z.literal("listProcesses"), ...target }),
  z.object({ do: z.literal("readProcess"), processId, read, ...target }),
  z.object({ do: z.literal("writeInput"), processId, input, ...target }),
  z.object({ do: z.literal("signalProcess"), processId, signal: z.enum(PROCESS_SIGNALS), ...target }),
  z.object({ do: z.literal("listContexts"), ...target }),
  z.object({ do: z.literal("status"), ...target }),
  z.object({ do: z.literal("reset"), ...target }),
  z.object({ do: z.literal("sleep"), ...target }),
  z.object({ do: z.literal("fork"), intoId: z.string(), ...target }),
  z.object({ do: z.literal("discard"), ...target }),
  z.object({ do: z.literal("saveSnapshot"), ...target }),
  z.object({ do: z.literal("readOutput"), processId, stream: z.enum(["stdout", "stderr"]), ...target }),
  z.object({ do: z.literal("readFile"), path: z.string(), maxBytes: z.number(), ...target }),
  z.object({ do: z.literal("writeFile"), path: z.string(), replaces: z.string().exactOptional(), ...target }),
  z.object({ do: z.literal("storeWrite"), path: z.string(), ...target }),
  z.object({ do: z.literal("storeRead"), path: z.string(), ...target }),
  z.object({ do: z.literal("storeRemove"), path: z.string(), ...target }),
]);

export type RemoteCall = z.input<typeof callSchema>;

export const errorSchema = z.object({ error: z.object({ code: z.string(), message: z.string(), cause: z.string() }) });

export const answerSchema = z.union([
  z.object({ output: z.string() }),
  z.object({ isStarting: z.literal(true) }),
  errorSchema,
  z.object({ result: z.unknown() }),
]);

export type RemoteAnswer = z.output<typeof answerSchema>;
