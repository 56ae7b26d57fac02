import * as z from "zod";
import { defineTool } from "../core/tool.ts";
import { act, actionContent, actionText } from "./action-text.ts";
import { browserName } from "./page-text.ts";
import type { Place } from "./session.ts";

const ANNOTATIONS = { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true } as const;
const ref = z.string().max(40);

export const browserClick = defineTool({
  name: "browser_click",
  title: "Click",
  description: "Clicks an element, or a place on the last screenshot; answers with what changed.",
  input: z
    .strictObject({
      ref: ref.optional().describe("What"),
      x: z.number().optional().describe("Or where"),
      y: z.number().optional().describe("Pixels"),
      action: z.enum(["click", "double", "right", "hover", "drag"]).default("click").describe("How"),
      to: ref.optional().describe("Drag to this ref"),
      to_x: z.number().optional().describe("Or here"),
      to_y: z.number().optional().describe("Pixels"),
      browser: browserName,
    })
    .refine(({ ref: at, x, y }) => isPlace(at, x, y), "give a ref, or x and y")
    .refine(
      ({ action, to, to_x: x, to_y: y }) => (action === "drag") === isPlace(to, x, y),
      "give to, or to_x and to_y, for a drag and only then",
    ),
  output: actionContent,
  annotations: ANNOTATIONS,
  scopes: ["browser:act"],
  handler: async ({ ref: at, x, y, action, to, to_x: toX, to_y: toY, browser }, context) => {
    const end = placeOf(to, toX, toY);
    const place = placeOf(at, x, y);
    if (place === undefined) throw new TypeError("A click without a place has passed its schema.");
    return await act(
      "browser_click",
      browser,
      context,
      async (open, files) =>
        await open.click({ action, at: place, ...(end === undefined ? {} : { to: end }) }, files, context.signal),
    );
  },
  text: actionText,
});

export const browserType = defineTool({
  name: "browser_type",
  title: "Type",
  description: "Types text in place of ref's, or at the cursor without a ref; then presses a key.",
  input: z
    .strictObject({
      ref: ref.optional().describe("Where"),
      text: z.string().max(100_000).optional().describe("What"),
      press: z.string().min(1).max(60).optional().describe("Enter, Control+A"),
      browser: browserName,
    })
    .refine(({ text, press }) => text !== undefined || press !== undefined, "give text, or a key to press"),
  output: actionContent,
  annotations: ANNOTATIONS,
  scopes: ["browser:act"],
  handler: async ({ ref: at, text, press, browser }, context) =>
    await act("browser_type", browser, context, async (open, files) => {
      const request = {
        ...(at === undefined ? {} : { ref: at }),
        ...(text === undefined ? {} : { text }),
        ...(press === undefined ? {} : { press }),
      };
      return await open.type(request, files, context.signal);
    }),
  text: actionText,
});

export const browserFill = defineTool({
  name: "browser_fill",
  title: "Fill a form",
  description: "Sets fields: text, true or false, an option, or paths of files to upload; several one a line.",
  input: z.strictObject({
    fields: z
      .array(z.object({ ref, value: z.string().max(100_000) }))
      .min(1)
      .max(100)
      .describe("In order"),
    browser: browserName,
  }),
  output: actionContent,
  annotations: ANNOTATIONS,
  scopes: ["browser:act"],
  handler: async ({ fields, browser }, context) =>
    await act("browser_fill", browser, context, async (open, files) => await open.fill(fields, files, context.signal)),
  text: actionText,
});

export const browserDialog = defineTool({
  name: "browser_dialog",
  title: "Answer a dialog",
  description: "Answers the page's confirm or prompt.",
  input: z.strictObject({
    accept: z.boolean().describe("OK, or Cancel"),
    text: z.string().max(10_000).optional().describe("For a prompt"),
    browser: browserName,
  }),
  output: actionContent,
  annotations: ANNOTATIONS,
  scopes: ["browser:act"],
  handler: async ({ accept, text, browser }, context) =>
    await act(
      "browser_dialog",
      browser,
      context,
      async (open, files) =>
        await open.answer({ accept, ...(text === undefined ? {} : { text }) }, files, context.signal),
    ),
  text: actionText,
});

function isPlace(at: string | undefined, x: number | undefined, y: number | undefined): boolean {
  return at === undefined ? x !== undefined && y !== undefined : x === undefined && y === undefined;
}

function placeOf(at: string | undefined, x: number | undefined, y: number | undefined): Place | undefined {
  if (at !== undefined) return { ref: at };
  return x === undefined || y === undefined ? undefined : { x, y };
}
