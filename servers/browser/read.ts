import * as z from "zod";
import { MAX_TEXT_CHARS } from "../core/artifacts.ts";
import { defineTool } from "../core/tool.ts";
import { exchangeFor, withKept } from "./exchange.ts";
import { browserName, pageContent, pageText } from "./page-text.ts";

export const browserRead = defineTool({
  name: "browser_read",
  title: "Read a page as text",
  description: "The open page, or a URL on its own, to read and not to act on; or what it logged.",
  input: z.strictObject({
    what: z.enum(["markdown", "links", "html", "console", "network"]).default("markdown").describe("Form"),
    url: z.string().min(1).max(8_000).optional().describe("Instead of the open page"),
    ref: z.string().max(20).optional().describe("A part of the open page"),
    max_chars: z.int().min(500).max(100_000).default(MAX_TEXT_CHARS).describe("Longest answer"),
    browser: browserName,
  }),
  output: pageContent,
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: true },
  scopes: ["browser:read"],
  handler: async ({ what, url, ref, max_chars: maxChars, browser }, context) => {
    const { files, kept } = exchangeFor("browser_read", context);
    const request = { what, maxChars, ...(url === undefined ? {} : { url }), ...(ref === undefined ? {} : { ref }) };
    const read = await context.browsers.named(browser).read(request, files, context.signal);
    const isLog = what === "console" || what === "network";
    const notes = isLog && read.isCut ? [...read.notes, "Only the end is shown; give a larger max_chars."] : read.notes;
    return {
      output: {
        url: read.url,
        ...(read.status === undefined ? {} : { status: read.status }),
        title: read.title,
        notes: [...notes],
        content: withKept(read.content, kept),
        is_cut: !isLog && read.isCut,
      },
      attachments: kept,
    };
  },
  text: (page) => pageText(page, "give a larger max_chars"),
});
