import * as z from "zod";
import { defineTool } from "../core/tool.ts";
import { exchangeFor, withKept } from "./exchange.ts";
import { readStorageFile, writeStorageFile } from "./storage-file.ts";
import { describeStorage } from "./chrome/storage-state.ts";
import { browserName, pageContent, pageText } from "./page-text.ts";

export const browserOpen = defineTool({
  name: "browser_open",
  title: "Open a page",
  description: "Opens a page and shows its top; read on with browser_snapshot.",
  input: z
    .strictObject({
      url: z.string().min(1).max(8_000).optional().describe("http or https"),
      go: z.enum(["back", "forward", "reload"]).optional().describe("From here"),
      tab: z
        .string()
        .refine((tab) => /^(new|[1-9]\d{0,5})$/.test(tab), 'give "new" or a tab\'s number')
        .optional()
        .describe('"new" or its number'),
      storage: z.string().min(1).max(1_000).optional().describe("File of save_storage, loaded before"),
      browser: browserName,
    })
    .refine(({ url, storage }) => storage === undefined || url !== undefined, "give a url with the storage")
    .refine(({ url, go }) => url === undefined || go === undefined, "give a url, or where to go")
    .refine(
      ({ url, go, tab }) => url !== undefined || go !== undefined || (tab !== undefined && tab !== "new"),
      "give a url, where to go, or a tab",
    ),
  output: pageContent,
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: true },
  scopes: ["browser:read"],
  handler: async ({ url, go, tab, storage, browser }, context) => {
    const { files, kept } = exchangeFor("browser_open", context);
    const request = {
      ...(url === undefined ? {} : { url }),
      ...(go === undefined ? {} : { go }),
      ...(tab === undefined ? {} : { tab: tab === "new" ? ("new" as const) : Number(tab) }),
      ...(storage === undefined ? {} : { storage: await readStorageFile(context, storage) }),
    };
    const opened = await context.browsers.named(browser).open(request, files, context.signal);
    return {
      output: {
        url: opened.url,
        ...(opened.status === undefined ? {} : { status: opened.status }),
        title: opened.title,
        notes: [...opened.notes],
        content: withKept(opened.content, kept),
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
    tab: z.int().min(1).optional().describe("Only this one"),
    save_storage: z.string().min(1).max(1_000).optional().describe("File for its cookies and sites' storage"),
    browser: browserName,
  }),
  output: z.object({ closed: z.string(), saved: z.string().optional() }),
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false },
  scopes: ["browser:read"],
  handler: async ({ tab, save_storage: path, browser }, context) => {
    const { browsers, signal } = context;
    const open = browsers.named(browser);
    const storage = path === undefined ? undefined : await open.storage(signal);
    if (path !== undefined && storage !== undefined) await writeStorageFile(context, path, storage);
    await open.close(tab, signal);
    return {
      output: {
        closed: tab === undefined ? browser : `tab ${tab}`,
        ...(storage === undefined ? {} : { saved: describeStorage(storage) }),
      },
    };
  },
});
