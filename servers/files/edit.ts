import * as z from "zod";
import { MAX_TEXT_CHARS, cutText } from "../core/artifacts.ts";
import { defineTool } from "../core/tool.ts";
import { describeChange, editText } from "../shared/edit-text.ts";
import { ToolError } from "../shared/errors.ts";
import { decodeUtf8 } from "../shared/text.ts";
import type { FileBody, FileStore } from "./store.ts";

const MAX_BYTES = 4 * 1024 * 1024;
const MAX_ROUNDS = 20;

export const filesEdit = defineTool({
  name: "files_edit",
  title: "Edit a file",
  description: "Replaces a text that is there once; answers with a diff.",
  input: z.strictObject({
    path: z.string().min(1).max(1_000).describe("Path"),
    old: z.string().min(1).max(1_000_000).describe("Exact text"),
    new: z.string().max(1_000_000).describe("Replacement"),
    all: z.boolean().optional().describe("All occurrences"),
  }),
  output: z.object({ diff: z.string() }),
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: false },
  scopes: ["files:read", "files:write"],
  handler: async ({ path, old, new: replacement, all = false }, { files, signal }) => {
    for (let round = 1; ; round += 1) {
      const { file, before } = await readText(files, path);
      const after = editText(before, { path: file.path, old, replacement, all });
      try {
        await files.write(file.path, after, { ifMatch: file.etag, mimeType: file.mimeType });
        return { output: { diff: cutText(describeChange(file.path, before, after), MAX_TEXT_CHARS).text } };
      } catch (failure) {
        // Somebody else wrote meanwhile. An exact text is as good in what they wrote, or no longer in it.
        const isCrossed = failure instanceof ToolError && failure.code === "conflict";
        if (!isCrossed || round === MAX_ROUNDS || signal.aborted) throw failure;
      }
    }
  },
  text: ({ diff }) => diff,
});

async function readText(files: FileStore, path: string): Promise<{ readonly file: FileBody; readonly before: string }> {
  const file = await files.read(path);
  if (file.sizeBytes > MAX_BYTES) {
    await file.body.cancel();
    throw new ToolError("too_large", `${file.path} has over ${MAX_BYTES} bytes; change it under /workspace/files.`);
  }
  const before = decodeUtf8(await new Response(file.body).bytes());
  if (before === undefined) {
    throw new ToolError("invalid_input", `${file.path} is not UTF-8 text; change it under /workspace/files.`);
  }
  return { file, before };
}
