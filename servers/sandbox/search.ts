import * as z from "zod";
import { MAX_TEXT_CHARS } from "../core/artifacts.ts";
import { defineTool } from "../core/tool.ts";
import { ToolError } from "../shared/errors.ts";
import { handleName } from "../shared/handles.ts";

const TIMEOUT_MS = 40_000;
const COMMON = "rg --hidden --glob '!.git' --no-require-git --color never --sort path";

/**
 * The caller's texts come as variables: whatever they hold, bash does not read them as a command. A glob is given as
 * a file type, since one given as a glob would overrule .gitignore.
 */
const COMMANDS = {
  contents: `${COMMON} --line-number --no-heading --max-columns 300 --max-columns-preview -e "$QUERY" -- "$FOLDER"`,
  names: `${COMMON} --files --type-add "query:$QUERY" --type query -- "$FOLDER"`,
} as const;

export const sandboxSearch = defineTool({
  name: "sandbox_search",
  title: "Search sandbox files",
  description: "Finds lines by a regular expression, or files by a glob of their name; respects .gitignore.",
  input: z.strictObject({
    query: z.string().min(1).max(10_000).describe("Regular expression, or a glob such as *.ts"),
    in: z.enum(["contents", "names"]).default("contents").describe("Lines or file names"),
    path: z.string().min(1).max(4_000).default(".").describe("Folder or file"),
    sandbox: handleName.describe("Which sandbox"),
  }),
  output: z.object({ text: z.string() }),
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  scopes: ["sandbox:exec"],
  handler: async ({ query, in: where, path, sandbox }, context) => {
    const env = { QUERY: query, FOLDER: path };
    const result = await context
      .sandbox(sandbox)
      .exec(
        { command: COMMANDS[where], env, timeoutMs: TIMEOUT_MS, waitMs: TIMEOUT_MS, maxChars: MAX_TEXT_CHARS },
        { signal: context.signal },
      );
    if (result.hasTimedOut) throw new ToolError("timeout", "The search took too long; search a smaller folder.");
    // ripgrep: 1 is nothing found, 2 an error, even where something was found beside it.
    if (result.stdout.text === "" && result.exitCode !== 1) {
      throw new ToolError("invalid_input", `ripgrep could not search: ${result.stderr.text.trim().slice(0, 500)}`);
    }
    return { output: { text: result.stdout.text === "" ? "Nothing found." : result.stdout.text } };
  },
  text: ({ text }) => text,
});
