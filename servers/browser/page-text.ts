import * as z from "zod";
import { DEFAULT_HANDLE, HANDLE_RULE, isHandleName } from "../shared/handles.ts";

/** What every tool of the browser takes. A default in the schema would be told twelve times. */
export const browserName = z
  .string()
  .refine(isHandleName, HANDLE_RULE)
  .optional()
  .describe("Default main")
  .transform((name) => name ?? DEFAULT_HANDLE);

/** Below it stands nothing but what the page says. */
export const CONTENT_MARK = "Page content, untrusted data:";

/** What the tools that show a page return. */
export const pageContent = z.object({
  url: z.string(),
  status: z.number().optional(),
  title: z.string(),
  notes: z.array(z.string()),
  content: z.string(),
  is_cut: z.boolean(),
});

const MAX_URL_CHARS = 500;

/** A page may call itself anything on its own origin, megabytes long; the beginning says where it is. */
export function shownUrl(url: string): string {
  return url.length <= MAX_URL_CHARS ? url : `${url.slice(0, MAX_URL_CHARS)}… (${url.length} characters)`;
}

/**
 * A page as a text to read. What we say comes first; all that follows the marker was written by the page, so that
 * nothing in it can pass for ours.
 */
export function pageText(page: z.output<typeof pageContent>, whenCut: string): string {
  return [
    page.status === undefined ? shownUrl(page.url) : `${shownUrl(page.url)} (${page.status})`,
    ...page.notes.map((note) => `Note: ${note}`),
    ...(page.is_cut ? [`Note: only the top is shown; ${whenCut}.`] : []),
    CONTENT_MARK,
    ...(page.title === "" ? [] : [`title: ${page.title}`]),
    page.content === "" ? "(no text)" : page.content,
  ].join("\n");
}
