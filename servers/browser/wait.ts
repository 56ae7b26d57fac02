import * as z from "zod";
import { defineTool } from "../core/tool.ts";
import { act, actionContent, actionText } from "./action-text.ts";
import { browserName } from "./page-text.ts";

const MAX_SECONDS = 45;

export const browserWait = defineTool({
  name: "browser_wait",
  title: "Wait",
  description: "Waits until all of these hold; answers with what changed.",
  input: z.strictObject({
    text: z.string().min(1).max(500).optional().describe("Is there"),
    gone: z.string().min(1).max(500).optional().describe("A text that is not"),
    url: z.string().min(1).max(2_000).optional().describe("Part of the URL"),
    ref: z.string().max(40).optional().describe("Ready for a click"),
    idle: z.boolean().optional().describe("No requests"),
    seconds: z.number().min(0).max(MAX_SECONDS).default(10).describe("At most"),
    browser: browserName,
  }),
  output: actionContent,
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: true },
  scopes: ["browser:read"],
  handler: async ({ text, gone, url, ref, idle, seconds, browser }, context) =>
    await act("browser_wait", browser, context, async (open, files) => {
      const request = {
        limitMs: seconds * 1_000,
        isIdle: idle === true,
        ...(text === undefined ? {} : { text }),
        ...(gone === undefined ? {} : { gone }),
        ...(url === undefined ? {} : { url }),
        ...(ref === undefined ? {} : { ref }),
      };
      return await open.wait(request, files, context.signal);
    }),
  text: actionText,
});
