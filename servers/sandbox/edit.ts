import { createTwoFilesPatch } from "diff";
import * as z from "zod";
import { sha256Hex } from "../../auth/secrets.ts";
import { MAX_TEXT_CHARS, cutText } from "../core/artifacts.ts";
import { defineTool } from "../core/tool.ts";
import { ToolError } from "../shared/errors.ts";
import { handleName } from "../shared/handles.ts";
import { decodeUtf8 } from "./text.ts";

const MAX_BYTES = 4 * 1024 * 1024;
/** Comparing costs the square of it; the edit itself is done whatever it comes to. */
const MAX_CHANGED_LINES = 2_000;

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
    const after = replace(before, { path, old, replacement, all });
    await sandbox.writeFile(path, new TextEncoder().encode(after), await sha256Hex(bytes));
    return { output: { diff: cutText(describeChange(path, before, after), MAX_TEXT_CHARS).text } };
  },
  text: ({ diff }) => diff,
});

interface Edit {
  readonly path: string;
  readonly old: string;
  readonly replacement: string;
  readonly all: boolean;
}

function replace(before: string, { path, old, replacement, all }: Edit): string {
  const parts = before.split(old);
  const found = parts.length - 1;
  if (found === 0) {
    // Models write \n, whatever the file has.
    if (before.includes("\r\n") && old.includes("\n") && !old.includes("\r\n")) {
      return replace(before, { path, old: withCrLf(old), replacement: withCrLf(replacement), all });
    }
    throw new ToolError(
      "not_found",
      `The old text is not in ${path}; read it with sandbox_read and copy it exactly, with its whitespace.`,
    );
  }
  if (found > 1 && !all) {
    throw new ToolError(
      "conflict",
      `The old text is ${found} times in ${path}; take in lines around it until it is there once, or set all.`,
    );
  }
  return parts.join(replacement);
}

function withCrLf(text: string): string {
  return text.replaceAll(/\r?\n/g, "\r\n");
}

/** A unified diff. */
function describeChange(path: string, before: string, after: string): string {
  const patch = createTwoFilesPatch(path, path, before, after, undefined, undefined, {
    context: 3,
    maxEditLength: MAX_CHANGED_LINES,
  });
  if (patch === undefined) return `${path} is changed in more places than a diff can show.`;
  return patch.replace(/^=+\n/, "");
}
