import * as z from "zod";
import { defineTool } from "../core/tool.ts";
import { ToolError } from "../shared/errors.ts";
import type { ShareLink } from "./share-link.ts";

const linkOutput = z.object({
  id: z.string(),
  purpose: z.enum(["download", "upload"]),
  path: z.string(),
  expires_at: z.string(),
});

const DEFAULT_LIFE_SECONDS = 3_600;

export const filesShare = defineTool({
  name: "files_share",
  title: "Share a file",
  description: "Makes a link for anyone, browser_open too; without path, lists your links.",
  input: z
    .strictObject({
      path: z.string().min(1).max(1_000).optional().describe("File; or folder/ to upload"),
      upload: z.boolean().optional().describe("Let files come in"),
      expires_in_seconds: z.int().min(60).max(604_800).optional().describe("Else an hour"),
      revoke: z.string().min(1).max(4_000).optional().describe("Link or id"),
    })
    .refine(
      ({ path, upload, expires_in_seconds, revoke }) =>
        revoke === undefined
          ? path !== undefined || (upload ?? expires_in_seconds) === undefined
          : (path ?? upload ?? expires_in_seconds) === undefined,
      "Give path to make a link, revoke alone to end one, or nothing to list them",
    ),
  output: z.object({
    url: z.string().optional(),
    ...linkOutput.partial().shape,
    revoked: linkOutput.optional(),
    links: z.array(linkOutput).optional(),
    note: z.string().optional(),
  }),
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true },
  scopes: ["files:read", "files:write"],
  handler: async ({ path, upload: isUpload = false, expires_in_seconds, revoke }, { shareLinks }) => {
    if (revoke !== undefined) return { output: { revoked: describeLink(await shareLinks.revoke(revoke)) } };
    if (path === undefined) return { output: { links: (await shareLinks.list()).map(describeLink) } };
    if (path.endsWith("/") && !isUpload) {
      throw new ToolError("invalid_input", "A folder cannot be shared; name a file, or set upload to let files in.");
    }
    const link = await shareLinks.create({
      path,
      purpose: isUpload ? "upload" : "download",
      expiresInSeconds: expires_in_seconds ?? DEFAULT_LIFE_SECONDS,
    });
    const note = isUpload ? { note: `Open it in a browser, or: curl -T FILE '${link.url}'` } : {};
    return { output: { url: link.url, ...describeLink(link), ...note } };
  },
});

function describeLink({ id, purpose, path, expiresAt }: ShareLink): z.input<typeof linkOutput> {
  return { id, purpose, path, expires_at: expiresAt.toISOString() };
}
