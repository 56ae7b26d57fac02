import * as z from "zod";
import { defineTool } from "../core/tool.ts";

export const filesShare = defineTool({
  name: "files_share",
  title: "Share a file",
  description:
    "Makes a link to one file that anyone who holds it may open until it expires; browser_open opens it too. Pages are shown without scripts.",
  input: z.strictObject({
    path: z.string().min(1).max(1_000).describe("Path in the workspace"),
    expires_in_seconds: z.int().min(60).max(604_800).default(3_600).describe("Life of the link"),
  }),
  output: z.object({ url: z.string(), expires_at: z.string() }),
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: false, openWorldHint: true },
  scopes: ["files:read", "files:write"],
  handler: async ({ path, expires_in_seconds: expiresInSeconds }, { shareLinks }) => {
    const link = await shareLinks.create({ path, purpose: "download", expiresInSeconds });
    return { output: { url: link.url, expires_at: link.expiresAt.toISOString() } };
  },
});
