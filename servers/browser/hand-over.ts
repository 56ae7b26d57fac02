import * as z from "zod";
import { defineTool } from "../core/tool.ts";
import { browserName } from "./page-text.ts";
import { tidy } from "./snapshot/snapshot-writer.ts";

export const browserHandoff = defineTool({
  name: "browser_handoff",
  title: "Hand the page to a person",
  description:
    "Gives a link by which a person uses the open page, for a sign-in or the like, and waits; call again to wait on.",
  input: z.strictObject({
    instructions: z.string().min(1).max(2_000).describe("What the person is to do"),
    seconds: z.int().min(1).max(45).default(45).describe("Longest wait"),
    browser: browserName,
  }),
  output: z.object({
    state: z.enum(["waiting", "done", "failed", "over"]),
    link: z.string().optional(),
    reason: z.string().optional(),
  }),
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: false, openWorldHint: true },
  scopes: ["browser:act"],
  handler: async ({ instructions, seconds, browser }, { browsers, reportProgress, signal }) => {
    const onLink = (link: string): void => reportProgress(`Open ${link} and ${instructions}`);
    const request = { instructions, waitMs: seconds * 1_000 };
    return { output: await browsers.named(browser).handOff(request, onLink, signal) };
  },
  text: ({ state, link = "", reason = "" }) => {
    switch (state) {
      case "waiting":
        return `Not done yet. Give the person this link, which is theirs alone: ${link}\nIt opens for ten minutes; call browser_handoff again to wait on.`;
      case "done":
        return "The person is done; look at the page with browser_snapshot.";
      case "failed":
        return `The person did not do it${reason === "" ? "." : `, and says: "${tidy(reason)}"`}`;
      case "over":
        return "The hand-over is over; look at the page with browser_snapshot for what was done.";
    }
  },
});
