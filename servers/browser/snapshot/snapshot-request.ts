import { readPart } from "./accessibility.ts";
import { describeChanges } from "./changes.ts";
import { resolveRef, stale } from "../action/element.ts";
import { findOnPage } from "./find-on-page.ts";
import type { Current } from "../chrome/keeper.ts";
import type { PageSnapshot, SnapshotRequest } from "../session.ts";
import { renderPart } from "./snapshot.ts";
import { look } from "./view.ts";

type Shown = Pick<PageSnapshot, "title" | "content" | "isCut">;

/** The page as a text: all of it, or what of it was asked for. */
export async function snapshotOf(current: Current, request: SnapshotRequest): Promise<PageSnapshot> {
  const { chrome, live } = current;
  const shown = await show(current, request);
  return { url: live.page.url(), notes: chrome.notes.take(), ...shown };
}

async function show(current: Current, { maxChars, ref, find, changes }: SnapshotRequest): Promise<Shown> {
  if (ref !== undefined) return await part(current, ref, maxChars);
  if (find !== undefined) return await search(current, find);
  const before = current.live.shown;
  const { title, text, isCut, lines } = await look(current, maxChars);
  if (changes !== true || before === undefined) return { title, content: text, isCut };
  const content = describeChanges(before, lines, maxChars);
  return { title, content: content === "" ? "Nothing changed." : content, isCut: false };
}

async function part({ live }: Current, text: string, maxChars: number): Promise<Shown> {
  const { ref, frame, backendNodeId } = await resolveRef(live, text);
  const tree = await readPart(frame, live.refs, backendNodeId, maxChars);
  const rendered = renderPart(tree, backendNodeId, maxChars);
  if (rendered === undefined) throw stale(ref);
  return { title: "", content: rendered.text, isCut: rendered.isCut };
}

async function search({ chrome, live }: Current, find: string): Promise<Shown> {
  const { text, notes } = await findOnPage(live.page, live.refs, find);
  for (const note of notes) chrome.notes.add(note);
  return { title: "", content: text, isCut: false };
}
