import * as z from "zod";
import { sha256Hex } from "../../auth/secrets.ts";
import { MAX_TEXT_CHARS, cutText } from "../core/artifacts.ts";
import { defineTool } from "../core/tool.ts";
import { describeChange, editText } from "../shared/edit-text.ts";
import { ToolError } from "../shared/errors.ts";
import { handleName } from "../shared/handles.ts";
import { decodeUtf8 } from "../shared/text.ts";

const MAX_BYTES = 4 * 1024 * 1024;

export const sandboxEdit = defineTool({
  name: "sandbox_edit",
  title: "Edit a sandbox file",
  description: "Replaces a text in a sandbox file, which must be there once; answers with a diff.",
  input: z.strictObject({
    path: z.string().min(1).max(4_000).describe("From /workspace"),
    old: z.string().min(1).max(1_000_000).describe("Exact text"),
    new: z.string().max(1_000_000).describe("Its replacement"),
    all: z.boolean().optional().describe("Every occurrence"),
    sandbox: handleName.describe("Which sandbox"),
  }),
  output: z.object({ diff: z.string() }),
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: false },
  scopes: ["sandbox:exec"],
  handler: async ({ path, old, new: replacement, all = false, sandbox: name }, context) => {
    const sandbox = context.sandbox(name);
    const bytes = await sandbox.readFile(path, MAX_BYTES);
    const before = decodeUtf8(bytes);
    if (before === undefined) {
      throw new ToolError("invalid_input", `${path} is not UTF-8 text; change it with sandbox_exec.`);
    }
    const after = editText(before, { path, old, replacement, all });
    await sandbox.writeFile(path, new TextEncoder().encode(after), await sha256Hex(bytes));
    return { output: { diff: cutText(describeChange(path, before, after), MAX_TEXT_CHARS).text } };
  },
  text: ({ diff }) => diff,
});
