import * as z from "zod";
import { defineTool } from "../core/tool.ts";
import { ToolError } from "../shared/errors.ts";
import { handleName } from "../shared/handles.ts";

export const sandboxWrite = defineTool({
  name: "sandbox_write",
  title: "Write a sandbox file",
  description: "Writes a whole sandbox file; missing folders are made.",
  input: z.strictObject({
    path: z.string().min(1).max(4_000).describe("From /workspace"),
    content: z.string().max(12_000_000).describe("The whole content"),
    encoding: z.enum(["utf8", "base64"]).optional().describe("Of content"),
    sandbox: handleName.describe("Which sandbox"),
  }),
  output: z.object({ path: z.string(), size_bytes: z.number() }),
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false },
  scopes: ["sandbox:exec"],
  handler: async ({ path, content, encoding, sandbox }, context) => {
    const bytes = encoding === "base64" ? decodeBase64(content) : new TextEncoder().encode(content);
    await context.sandbox(sandbox).writeFile(path, bytes);
    return { output: { path, size_bytes: bytes.length } };
  },
});

function decodeBase64(content: string): Uint8Array {
  try {
    return Uint8Array.fromBase64(content);
  } catch (cause) {
    throw new ToolError("invalid_input", "content is not base64; send it so, or set encoding to utf8.", { cause });
  }
}
