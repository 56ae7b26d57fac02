import * as z from "zod";
import { defineTool } from "../core/tool.ts";
import { handleName } from "../shared/handles.ts";
import { pageContent, pageText } from "./page-text.ts";

export const browserOpen = defineTool({
  name: "browser_open",
  title: "Open a page",
  description: "Opens a URL and shows the top of the page; read on with browser_snapshot.",
  input: z.strictObject({
    url: z.string().min(1).max(8_000).describe("http or https"),
    browser: handleName.describe("Browser name"),
  }),
  output: pageContent,
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: true },
  scopes: ["browser:read"],
  handler: async ({ url, browser }, { browsers, signal }) => {
    const opened = await browsers.named(browser).open(url, signal);
    return {
      output: {
        url: opened.url,
        ...(opened.status === undefined ? {} : { status: opened.status }),
        title: opened.title,
        notes: [...opened.notes],
        content: opened.content,
        is_cut: opened.isCut,
      },
    };
  },
  text: (page) => pageText(page, "call browser_snapshot to read the rest"),
});
