import * as z from "zod";
import { MAX_TEXT_CHARS, cutText } from "../core/artifacts.ts";
import { defineTool } from "../core/tool.ts";
import { act, actionContent, actionText } from "./action-text.ts";
import { CONTENT_MARK, browserName } from "./page-text.ts";

export const browserEvaluate = defineTool({
  name: "browser_evaluate",
  title: "Run a script",
  description: "Runs JavaScript in the page and returns its last value.",
  input: z.strictObject({
    script: z.string().min(1).max(100_000).describe("Statements, or (element) => …"),
    ref: z.string().max(40).optional().describe("Its element"),
    browser: browserName,
  }),
  output: actionContent.extend({ value: z.string() }),
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true },
  scopes: ["browser:act"],
  handler: async ({ script, ref, browser }, context) => {
    const { result, output, ...answer } = await act(
      "browser_evaluate",
      browser,
      context,
      async (open, files) =>
        await open.evaluate({ script, ...(ref === undefined ? {} : { ref }) }, files, context.signal),
    );
    return { ...answer, output: { ...output, value: result.value } };
  },
  text: ({ value, ...result }) =>
    [...(hasEffect(result) ? [actionText(result), ""] : []), CONTENT_MARK, cutText(value, MAX_TEXT_CHARS).text].join(
      "\n",
    ),
});

function hasEffect({
  is_new_page: isNewPage,
  has_moved: hasMoved,
  content,
  notes,
}: z.output<typeof actionContent>): boolean {
  return isNewPage || hasMoved || content !== "" || notes.length > 0;
}
