import * as z from "zod";
import { defineTool } from "../core/tool.ts";
import { contentBytes } from "../shared/content.ts";

export const filesWrite = defineTool({
  name: "files_write",
  title: "Write a file",
  description: "Writes a whole file; the old one goes to the trash.",
  input: z
    .strictObject({
      path: z.string().min(1).max(1_000).describe("Path"),
      content: z.string().max(12_000_000).describe("Whole content"),
      encoding: z.enum(["utf8", "base64"]).optional().describe("Of content"),
      if_match: z.string().min(1).max(100).optional().describe("Only over that etag"),
      create_only: z.boolean().optional().describe("Only if new"),
    })
    .refine(
      ({ if_match, create_only }) => if_match === undefined || create_only !== true,
      "Give if_match or create_only, not both",
    ),
  output: z.object({ path: z.string(), size_bytes: z.number(), mime_type: z.string(), etag: z.string() }),
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false },
  scopes: ["files:write"],
  handler: async ({ path, content, encoding = "utf8", if_match: ifMatch, create_only: createOnly }, { files }) => {
    const info = await files.write(path, contentBytes(content, encoding), {
      ...(ifMatch === undefined ? {} : { ifMatch }),
      ...(createOnly === undefined ? {} : { createOnly }),
    });
    return {
      output: { path: info.path, size_bytes: info.sizeBytes, mime_type: info.mimeType, etag: info.etag },
    };
  },
});
