import * as z from "zod";
import { defineTool } from "../core/tool.ts";
import { exchangeFor } from "./exchange.ts";
import { browserName, pageContent, pageText } from "./page-text.ts";

export const browserOpen = defineTool({
  name: "browser_open",
  title: "Open a page",
  description: "Opens a URL, or goes elsewhere, and shows the top of the page; read on with browser_snapshot.",
  input: z
    .strictObject({
      url: z.string().min(1).max(8_000).optional(),
      go: z.enum(["back", "forward", "reload"]).optional(),
      tab: z
        .string()
        .regex(/^(new|[1-9]\d{0,5})$/, 'give "new" or a tab\'s number')
        .optional()
        .describe('"new" or its number'),
      browser: browserName,
    })
    .refine(({ url, go }) => url === undefined || go === undefined, "give a url, or where to go")
    .refine(
      ({ url, go, tab }) => url !== undefined || go !== undefined || (tab !== undefined && tab !== "new"),
      "give a url, where to go, or a tab",
    ),
  output: pageContent,
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: true },
  scopes: ["browser:read"],
  handler: async ({ url, go, tab, browser }, context) => {
    const { files, kept } = exchangeFor("browser_open", context);
    const request = {
      ...(url === undefined ? {} : { url }),
      ...(go === undefined ? {} : { go }),
      ...(tab === undefined ? {} : { tab: tab === "new" ? ("new" as const) : Number(tab) }),
    };
    const opened = await context.browsers.named(browser).open(request, files, context.signal);
    return {
      output: {
        url: opened.url,
        ...(opened.status === undefined ? {} : { status: opened.status }),
        title: opened.title,
        notes: [...opened.notes],
        content: opened.content,
        is_cut: opened.isCut,
      },
      attachments: kept,
    };
  },
  text: (page) => pageText(page, "call browser_snapshot to read the rest"),
});

export const browserClose = defineTool({
  name: "browser_close",
  title: "Close the browser",
  description: "Ends the browser with its cookies, or closes one tab.",
  input: z.strictObject({
    tab: z.int().min(1).optional(),
    browser: browserName,
  }),
  output: z.object({ closed: z.string() }),
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false },
  scopes: ["browser:read"],
  handler: async ({ tab, browser }, { browsers, signal }) => {
    await browsers.named(browser).close(tab, signal);
    return { output: { closed: tab === undefined ? browser : `tab ${tab}` } };
  },
});
