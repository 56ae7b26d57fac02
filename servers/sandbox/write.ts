import * as z from "zod";
import { defineTool } from "../core/tool.ts";
import { contentBytes } from "../shared/content.ts";
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
  handler: async ({ path, content, encoding = "utf8", sandbox }, context) => {
    const bytes = contentBytes(content, encoding);
    await context.sandbox(sandbox).writeFile(path, bytes);
    return { output: { path, size_bytes: bytes.length } };
  },
});
