import * as z from "zod";
import { MAX_TEXT_CHARS } from "../core/artifacts.ts";
import { defineTool } from "../core/tool.ts";
import { handleName } from "../shared/handles.ts";
import { pageContent, pageText, shownUrl } from "./page-text.ts";

export const browserSnapshot = defineTool({
  name: "browser_snapshot",
  title: "Read the page",
  description: "The open page's text and controls, frames included; [e5] is an element's ref.",
  input: z.strictObject({
    max_chars: z.int().min(500).max(100_000).default(MAX_TEXT_CHARS).describe("Longest answer"),
    browser: handleName.describe("Browser name"),
  }),
  output: pageContent,
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: true },
  scopes: ["browser:read"],
  handler: async ({ max_chars: maxChars, browser }, { browsers, signal }) => {
    const snapshot = await browsers.named(browser).snapshot(maxChars, signal);
    return {
      output: {
        url: snapshot.url,
        title: snapshot.title,
        notes: [...snapshot.notes],
        content: snapshot.content,
        is_cut: snapshot.isCut,
      },
    };
  },
  text: (page) => pageText(page, "give a larger max_chars"),
});

export const browserScreenshot = defineTool({
  name: "browser_screenshot",
  title: "Take a picture",
  description: "A picture of the open page, kept in files. To read or find things, browser_snapshot is cheaper.",
  input: z.strictObject({
    full_page: z.boolean().default(false).describe("Beyond the window"),
    format: z.enum(["png", "jpeg"]).default("png").describe("Image format"),
    browser: handleName.describe("Browser name"),
  }),
  output: z.object({
    url: z.string(),
    path: z.string().optional(),
    width: z.number(),
    height: z.number(),
    notes: z.array(z.string()),
  }),
  // A file is left behind.
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: false, openWorldHint: true },
  scopes: ["browser:read"],
  handler: async ({ full_page: isFullPage, format, browser }, { browsers, artifacts, signal }) => {
    const { url, base64, mimeType, width, height, notes } = await browsers
      .named(browser)
      .screenshot({ format, isFullPage }, signal);
    const kept = await artifacts.attach({
      name: mimeType === "image/png" ? "screenshot.png" : "screenshot.jpg",
      mimeType,
      content: Uint8Array.fromBase64(base64),
      madeBy: { tool: "browser_screenshot", page: url.slice(0, 256) },
    });
    return {
      output: {
        url: shownUrl(url),
        ...(kept.type === "link" ? { path: kept.path } : {}),
        width,
        height,
        notes: [...notes],
      },
      attachments: [{ type: "image", base64, mimeType }, kept],
    };
  },
  text: ({ url, path, width, height, notes }) =>
    [
      `${url}: ${width}×${height} pixels${path === undefined ? "" : `, kept as ${path}`}`,
      ...notes.map((note) => `Note: ${note}`),
    ].join("\n"),
});
