import { type Query, tidyForSearch } from "./find-query.ts";
import { clip } from "./snapshot-writer.ts";

export interface Hits {
  /** Lines of the page, indented below the heading or region that they are in. */
  readonly text: string;
  readonly count: number;
}

const MAX_HITS = 20;
const MAX_LINE_CHARS = 300;
const MAX_CONTEXT_CHARS = 100;
/** Of a long line, what is before the hit. */
const CHARS_BEFORE = 120;

const REFS = /\[(?:f\d+)?e\d+\] ?/g;

/** The lines of a snapshot that hold the query, as a phrase or with all its words; the first of them are shown. */
export function hitsIn(snapshot: string, query: Query, by: "phrase" | "words"): Hits {
  const lines = snapshot.split("\n");
  const terms = by === "phrase" ? [query.phrase] : query.phrase.split(" ");
  const contexts = new Contexts();
  const shown: string[] = [];
  let count = 0;
  let last: string | undefined;
  for (const line of lines) {
    const context = contexts.above(line);
    contexts.pass(line);
    const searched = searchable(line);
    if (!terms.every((term) => searched.includes(term))) continue;
    count += 1;
    if (count > MAX_HITS) continue;
    if (context !== undefined && context !== last) shown.push(clip(context.trim(), MAX_CONTEXT_CHARS));
    last = context;
    shown.push(`${context === undefined ? "" : " "}${around(line.trim(), terms[0] ?? "")}`);
  }
  if (count > MAX_HITS) shown.push(`… and ${count - MAX_HITS} more lines`);
  return { text: shown.join("\n"), count };
}

/** A line without refs, and with the role of a heading spelled out. */
function searchable(line: string): string {
  return tidyForSearch(line.replace(REFS, "").replace(/^\s*#{1,6} /, "heading "));
}

/** Follows, line by line, which heading or region is the nearest above. */
class Contexts {
  /** Lines that the next one may be inside of: each is further in than the one before. */
  readonly #open: { readonly indent: number; readonly line: string; readonly at: number }[] = [];
  #heading: { readonly line: string; readonly at: number } | undefined;
  #at = 0;

  above(line: string): string | undefined {
    const indent = indentOf(line);
    const region = this.#open.findLast((open) => open.indent < indent);
    return (region?.at ?? -1) > (this.#heading?.at ?? -1) ? region?.line : this.#heading?.line;
  }

  pass(line: string): void {
    const indent = indentOf(line);
    while ((this.#open.at(-1)?.indent ?? -1) >= indent) this.#open.pop();
    this.#at += 1;
    const entry = { indent, line, at: this.#at };
    if (/^\s*#{1,6} /.test(line)) this.#heading = entry;
    else this.#open.push(entry);
  }
}

function indentOf(line: string): number {
  return line.length - line.trimStart().length;
}

/** The part of a line that the hit is in, from the ref of its element on. */
function around(line: string, term: string): string {
  if (line.length <= MAX_LINE_CHARS) return line;
  const at = Math.max(0, line.toLowerCase().indexOf(term));
  const earliest = Math.max(0, at - CHARS_BEFORE);
  const ref = line.lastIndexOf("[", at);
  const from = earliest === 0 ? 0 : ref > earliest ? ref : earliest;
  return `${from === 0 ? "" : "… "}${clip(line.slice(from), MAX_LINE_CHARS)}`.toWellFormed();
}
