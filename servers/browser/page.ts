import * as z from "zod";
import { MAX_TEXT_CHARS } from "../core/artifacts.ts";
import { defineTool } from "../core/tool.ts";
import { browserName, pageContent, pageText, shownUrl } from "./page-text.ts";

export const browserSnapshot = defineTool({
  name: "browser_snapshot",
  title: "Read the page",
  description: "The open page's text and controls, frames included; [e5] is an element's ref.",
  input: z.strictObject({
    ref: z.string().max(40).optional().describe("Only this part"),
    find: z.string().min(1).max(200).optional().describe("Only lines with this text or role"),
    changes: z.boolean().optional().describe("Only what changed since last time"),
    max_chars: z.int().min(500).max(100_000).default(MAX_TEXT_CHARS).describe("Longest answer"),
    browser: browserName,
  }),
  output: pageContent,
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: true },
  scopes: ["browser:read"],
  handler: async ({ ref, find, changes, max_chars: maxChars, browser }, { browsers, signal }) => {
    const request = {
      maxChars,
      changes: changes === true,
      ...(ref === undefined ? {} : { ref }),
      ...(find === undefined ? {} : { find }),
    };
    const snapshot = await browsers.named(browser).snapshot(request, signal);
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

const NAMES = { "image/png": "screenshot.png", "image/jpeg": "screenshot.jpg", "application/pdf": "page.pdf" } as const;

export const browserScreenshot = defineTool({
  name: "browser_screenshot",
  title: "Take a picture",
  description: "A picture or PDF of the page, kept in files; to read it, browser_snapshot is cheaper.",
  input: z.strictObject({
    ref: z.string().max(40).optional().describe("Only this element"),
    full_page: z.boolean().optional().describe("Beyond the window"),
    format: z.enum(["png", "jpeg", "pdf"]).default("png").describe("Of the file"),
    browser: browserName,
  }),
  output: z.object({
    url: z.string(),
    path: z.string().optional(),
    width: z.number().optional(),
    height: z.number().optional(),
    notes: z.array(z.string()),
  }),
  // A file is left behind.
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: false, openWorldHint: true },
  scopes: ["browser:read"],
  handler: async ({ ref, full_page: isFullPage = false, format, browser }, { browsers, artifacts, signal }) => {
    const request = { format, isFullPage, ...(ref === undefined ? {} : { ref }) };
    const { url, base64, mimeType, width, height, notes } = await browsers.named(browser).screenshot(request, signal);
    const kept = await artifacts.attach({
      name: NAMES[mimeType],
      mimeType,
      content: Uint8Array.fromBase64(base64),
      madeBy: { tool: "browser_screenshot", page: url.slice(0, 256) },
    });
    return {
      output: {
        url: shownUrl(url),
        ...(kept.type === "link" ? { path: kept.path } : {}),
        ...(width === undefined || height === undefined ? {} : { width, height }),
        notes: [...notes],
      },
      attachments: mimeType === "application/pdf" ? [kept] : [{ type: "image", base64, mimeType }, kept],
    };
  },
  text: ({ url, path, width, height, notes }) =>
    [
      `${url}: ${width === undefined ? "PDF" : `${width}×${height ?? 0} pixels`}${path === undefined ? "" : `, kept as ${path}`}`,
      ...notes.map((note) => `Note: ${note}`),
    ].join("\n"),
});
