import * as z from "zod";
import { MAX_TEXT_CHARS } from "../core/artifacts.ts";
import { defineTool } from "../core/tool.ts";
import { handleName } from "../shared/handles.ts";
import { runRipgrep } from "./ripgrep.ts";

/** A glob is given as a file type, since one given as a glob would overrule .gitignore. */
const FLAGS = {
  contents: '--line-number --no-heading --max-columns 300 --max-columns-preview -e "$QUERY" -- "$FOLDER"',
  names: '--files --type-add "query:$QUERY" --type query -- "$FOLDER"',
} as const;

export const sandboxSearch = defineTool({
  name: "sandbox_search",
  title: "Search sandbox files",
  description: "Finds lines by a regex, or files by a glob of their name; respects .gitignore.",
  input: z.strictObject({
    query: z.string().min(1).max(10_000).describe("Regex, or a glob such as *.ts"),
    in: z.enum(["contents", "names"]).default("contents").describe("Lines or file names"),
    path: z.string().min(1).max(4_000).optional().describe("Folder or file"),
    sandbox: handleName.describe("Which sandbox"),
  }),
  output: z.object({ text: z.string() }),
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  scopes: ["sandbox:exec"],
  handler: async ({ query, in: where, path = ".", sandbox }, context) => {
    const variables = { QUERY: query, FOLDER: path };
    const { text } = await runRipgrep({ flags: FLAGS[where], variables, maxChars: MAX_TEXT_CHARS }, sandbox, context);
    return { output: { text: text === "" ? "Nothing found." : text } };
  },
  text: ({ text }) => text,
});
