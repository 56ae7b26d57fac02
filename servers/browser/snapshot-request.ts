import { describeChanges } from "./changes.ts";
import type { Current } from "./keeper.ts";
import type { PageSnapshot, SnapshotRequest } from "./session.ts";
import { look } from "./view.ts";

/** The page as a text: all of it, or what of it was asked for. */
export async function snapshotOf(current: Current, { maxChars, changes }: SnapshotRequest): Promise<PageSnapshot> {
  const { chrome, live } = current;
  const before = live.shown;
  const view = await look(current, maxChars);
  const shown =
    changes === true && before !== undefined
      ? { content: describeChanges(before, view.lines, maxChars) || "Nothing changed.", isCut: false }
      : { content: view.text, isCut: view.isCut };
  return { url: live.page.url(), title: view.title, notes: chrome.notes.take(), ...shown };
}
