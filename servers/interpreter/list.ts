import * as z from "zod";
import { defineTool } from "../core/tool.ts";
import { DEFAULT_HANDLE } from "../shared/handles.ts";

export const interpreterList = defineTool({
  name: "interpreter_list",
  title: "List code contexts",
  description: "Lists contexts that hold variables.",
  input: z.strictObject({}),
  output: z.object({
    contexts: z.array(z.object({ language: z.string(), context: z.string(), busy: z.boolean() })),
  }),
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  scopes: ["interpreter:run"],
  handler: async (_input, tool) => {
    const contexts = await tool.sandbox(DEFAULT_HANDLE).listContexts();
    return {
      output: { contexts: contexts.map(({ language, context, isBusy }) => ({ language, context, busy: isBusy })) },
    };
  },
});
