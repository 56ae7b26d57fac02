import * as z from "zod";
import { defineTool } from "../core/tool.ts";
import { ToolError } from "../shared/errors.ts";

export const filesWrite = defineTool({
  name: "files_write",
  title: "Write a file",
  description:
    "Writes a whole file to your durable workspace, replacing what is there. Sandbox and interpreter see it at /workspace/files/<path>.",
  input: z.strictObject({
    path: z.string().min(1).max(1_000).describe("Path in the workspace"),
    content: z.string().max(12_000_000).describe("The whole content"),
    encoding: z.enum(["utf8", "base64"]).default("utf8").describe("How content is written here"),
  }),
  output: z.object({ path: z.string(), size_bytes: z.number(), mime_type: z.string(), etag: z.string() }),
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false },
  scopes: ["files:write"],
  handler: async ({ path, content, encoding }, { files }) => {
    const info = await files.write(path, encoding === "utf8" ? content : decodeBase64(content));
    return {
      output: { path: info.path, size_bytes: info.sizeBytes, mime_type: info.mimeType, etag: info.etag },
    };
  },
});

function decodeBase64(content: string): Uint8Array {
  try {
    return Uint8Array.fromBase64(content);
  } catch (cause) {
    throw new ToolError("invalid_input", "content is not base64; send it so, or set encoding to utf8.", { cause });
  }
}
