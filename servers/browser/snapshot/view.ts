import { ToolError } from "../../shared/errors.ts";
import { within } from "../chrome/abort.ts";
import { type AccessibilityNode, nameOf } from "./accessibility-node.ts";
import { readAccessibility } from "./accessibility.ts";
import { CUT_LINE } from "./changes.ts";
import type { Current } from "../chrome/keeper.ts";
import { renderPage } from "./snapshot.ts";
import { tidy } from "./snapshot-writer.ts";

/** How much of a page is compared with what it was before. */
const COMPARED_CHARS = 40_000;
const READ_LIMIT_MS = 5_000;
const FILL_ATTEMPTS = 6;
const FILL_WAIT_MS = 300;
const MAX_TITLE_CHARS = 200;

/** A page as it was when it was looked at; its text up to the length that was asked for. */
export interface View {
  readonly title: string;
  readonly text: string;
  readonly isCut: boolean;
  /** As much of it as is compared, its title first and one element a line. */
  readonly lines: string;
}

/** Reads the page, of a large one as much as fills `maxChars`, and remembers it as seen. */
export async function look({ live }: Current, maxChars: number): Promise<View> {
  const tree = await readAccessibility(live.page, live.refs, maxChars);
  const title = titleOf(tree.root);
  const { text, isCut } = renderPage(tree, COMPARED_CHARS, "elements");
  const lines = [...(title === "" ? [] : [`title: ${title}`]), text, ...(isCut ? [CUT_LINE] : [])].join("\n");
  live.shown = lines;
  return { ...renderPage(tree, maxChars), lines, title };
}

/** As `look`, of a page that has just loaded: its scripts are given a moment to put something on it. */
export async function lookFilled(current: Current, maxChars: number, attempts = FILL_ATTEMPTS): Promise<View> {
  const view = await look(current, maxChars);
  if (view.text !== "" || attempts === 1) return view;
  await scheduler.wait(FILL_WAIT_MS);
  return await lookFilled(current, maxChars, attempts - 1);
}

/** As far as the page can be read now; where it cannot, a note says so. */
export async function lookIfPossible(current: Current, read: Promise<View>): Promise<View | undefined> {
  try {
    const view = await within(read, READ_LIMIT_MS);
    if (view === undefined) current.chrome.notes.add("The page is busy; read it with browser_snapshot in a moment.");
    return view;
  } catch (failure) {
    if (!(failure instanceof ToolError) || failure.code !== "too_large") throw failure;
    current.chrome.notes.add(failure.message);
    return undefined;
  }
}

function titleOf(root: AccessibilityNode | undefined): string {
  return root === undefined ? "" : tidy(nameOf(root)).slice(0, MAX_TITLE_CHARS).toWellFormed();
}
