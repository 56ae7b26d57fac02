import { type DomNode, readDom, readDomPart } from "./dom.ts";
import { resolveRef, stale } from "../action/element.ts";
import { writeHtml } from "./html.ts";
import { linkLines } from "./links.ts";
import { writeMarkdown } from "./markdown.ts";
import type { LivePage } from "../chrome/live-page.ts";
import { tidy } from "../snapshot/snapshot-writer.ts";

export interface ReadingRequest {
  readonly what: "markdown" | "links" | "html" | "console" | "network";
  /** A part of the page, as a snapshot shows it; of no use for the logs. */
  readonly ref?: string;
  readonly maxChars: number;
}

export interface Reading {
  /** Written by the page, as `content` is. */
  readonly title: string;
  readonly content: string;
  readonly isCut: boolean;
}

/** What reading takes of a page. */
export type ReadablePage = Pick<LivePage, "page" | "refs" | "log" | "frame">;

const MAX_TITLE_CHARS = 200;

/** Reads the page, or what it has logged, as text of at most `maxChars`; of a log the end. */
export async function readPage(live: ReadablePage, { what, ref, maxChars }: ReadingRequest): Promise<Reading> {
  if (what === "console" || what === "network") {
    const lines = what === "console" ? live.log.consoleLines() : live.log.networkLines();
    const kept = fit(lines.toReversed(), maxChars);
    return { title: "", content: kept.toReversed().join("\n"), isCut: kept.length < lines.length };
  }
  const top = ref === undefined ? await readDom(live.page) : await part(live, ref);
  const title = tidy(top.document.title).slice(0, MAX_TITLE_CHARS).toWellFormed();
  if (what === "links") {
    const lines = linkLines(top);
    const kept = fit(lines, maxChars);
    return { title, content: kept.join("\n"), isCut: kept.length < lines.length };
  }
  const { text, isCut } = what === "html" ? writeHtml(top, maxChars) : writeMarkdown(top, maxChars);
  return { title, content: text, isCut };
}

async function part(live: ReadablePage, text: string): Promise<DomNode> {
  const { ref, frame, backendNodeId } = await resolveRef(live, text);
  const node = await readDomPart(frame, backendNodeId);
  if (node === undefined) throw stale(ref);
  return node;
}

/** The first lines that are no longer than that together. */
function fit(lines: readonly string[], maxChars: number): string[] {
  const kept: string[] = [];
  let chars = 0;
  for (const line of lines) {
    chars += line.length + 1;
    if (chars > maxChars + 1) break;
    kept.push(line);
  }
  return kept;
}
