import * as z from "zod";

const target = { userId: z.string(), sandboxId: z.string() };
const command = z.object({
  command: z.string(),
  cwd: z.string().exactOptional(),
  env: z.record(z.string(), z.string()).exactOptional(),
  stdin: z.string().exactOptional(),
  timeoutMs: z.number(),
  waitMs: z.number(),
  maxChars: z.number(),
});
const code = z.object({
  code: z.string(),
  language: z.enum(["python", "javascript"]),
  context: z.string(),
  timeoutMs: z.number(),
  maxChars: z.number(),
});

/** One call of the sandbox, or of the caller's files: the form field `call`; what is written is the field `bytes`. */
export const callSchema = z.discriminatedUnion("do", [
  z.object({ do: z.literal("exec"), command, ...target }),
  z.object({ do: z.literal("runCode"), code, ...target }),
  z.object({ do: z.literal("readOutput"), processId: z.string(), stream: z.enum(["stdout", "stderr"]), ...target }),
  z.object({ do: z.literal("readFile"), path: z.string(), maxBytes: z.number(), ...target }),
  z.object({ do: z.literal("writeFile"), path: z.string(), ...target }),
  z.object({ do: z.literal("storeWrite"), path: z.string(), ...target }),
  z.object({ do: z.literal("storeRead"), path: z.string(), ...target }),
  z.object({ do: z.literal("storeRemove"), path: z.string(), ...target }),
]);

export type RemoteCall = z.input<typeof callSchema>;

export const errorSchema = z.object({ error: z.object({ code: z.string(), message: z.string(), cause: z.string() }) });

export const answerSchema = z.union([z.object({ output: z.string() }), errorSchema, z.object({ result: z.unknown() })]);

export type RemoteAnswer = z.output<typeof answerSchema>;
