import * as z from "zod";
import { defineTool } from "../core/tool.ts";
import { ToolError } from "../shared/errors.ts";
import { handleName } from "../shared/handles.ts";
import type { Preview } from "./previews.ts";

const preview = z.object({
  sandbox: z.string(),
  port: z.number(),
  url: z.string(),
  expires_at: z.string().optional(),
});

export const sandboxExpose = defineTool({
  name: "sandbox_expose",
  title: "Expose a port",
  description: "Gives a port a URL that its person alone may open; without port, lists them.",
  input: z.strictObject({
    sandbox: handleName.describe("Which sandbox"),
    port: z.int().min(1).max(65_535).optional().describe("What a server listens on"),
    share_for: z.int().min(0).max(604_800).optional().describe("Link for anyone, seconds; 0 ends it"),
    withdraw: z.boolean().optional().describe("End it"),
  }),
  output: z.object({
    ...preview.partial().shape,
    listening: z.boolean().optional(),
    share_url: z.string().optional(),
    withdrawn: z.boolean().optional(),
    previews: z.array(preview).optional(),
  }),
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true },
  scopes: ["sandbox:exec"],
  handler: async ({ sandbox, port, share_for: seconds, withdraw: isEnd = false }, { previews }) => {
    if (port === undefined) {
      if (isEnd || seconds !== undefined) throw new ToolError("invalid_input", "Say which port.");
      return { output: { previews: (await previews.list()).map(describe) } };
    }
    if (isEnd) return { output: { ...describe(await previews.withdraw(sandbox, port)), withdrawn: true } };
    const { isListening: listening, ...exposed } = await previews.expose(sandbox, port);
    if (seconds === undefined) return { output: { ...describe(exposed), listening } };
    const { shareUrl, ...shared } = await previews.share(sandbox, port, seconds);
    const link = shareUrl === undefined ? {} : { share_url: shareUrl };
    return { output: { ...describe(shared), listening, ...link } };
  },
});

function describe({ sandbox, port, url, sharedUntil }: Preview): z.input<typeof preview> {
  return { sandbox, port, url, ...(sharedUntil === undefined ? {} : { expires_at: sharedUntil.toISOString() }) };
}
