import * as z from "zod";
import type { Answer, ToolContext } from "../core/tool.ts";
import { exchangeFor, withKept } from "./exchange.ts";
import { CONTENT_MARK, pageContent, pageText, shownUrl } from "./page-text.ts";
import type { ActionResult, Browser, CallerFiles } from "./session.ts";

/** What the tools that do something to a page return. */
export const actionContent = pageContent.extend({ is_new_page: z.boolean(), has_moved: z.boolean() });

/** What came of an action, as a text to read: another page from its top, or what changed on the one that stayed. */
export function actionText(result: z.output<typeof actionContent>): string {
  if (result.is_new_page) return pageText(result, "call browser_snapshot to read the rest");
  return [
    ...(result.has_moved ? [shownUrl(result.url)] : []),
    ...result.notes.map((note) => `Note: ${note}`),
    ...(result.content === "" ? ["Nothing changed on the page."] : [CONTENT_MARK, result.content]),
  ].join("\n");
}

/** One call that acts on a page: its result, and what it downloads beside it. */
export async function act<T extends ActionResult>(
  tool: string,
  browser: string,
  context: ToolContext,
  work: (open: Browser, files: CallerFiles) => Promise<T>,
): Promise<Answer<z.input<typeof actionContent>> & { readonly result: T }> {
  const { files, kept } = exchangeFor(tool, context);
  const result = await work(context.browsers.named(browser), files);
  const { url, status, title, notes, content, isCut, isNewPage, hasMoved } = result;
  return {
    result,
    output: {
      url,
      ...(status === undefined ? {} : { status }),
      title,
      notes: [...notes],
      content: withKept(content, kept),
      is_cut: isCut,
      is_new_page: isNewPage,
      has_moved: hasMoved,
    },
    attachments: kept,
  };
}
