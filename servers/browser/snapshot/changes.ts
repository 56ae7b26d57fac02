import { diffArrays } from "diff";
import { clip } from "./snapshot-writer.ts";

/** Looking for the shortest way from one text to another takes time in the square of this; above it, lines are counted. */
const MAX_EDITS = 400;
/** More lines in a row that are gone are counted only. */
const MAX_GONE_SHOWN = 3;
const MAX_GONE_CHARS = 100;

/** The last line of a snapshot that does not go to the end of its page. */
export const CUT_LINE = "…";

const REF = /\[(?:f\d+)?e\d+\]/;

/** Lines that follow each other and fare alike. */
interface Run {
  readonly kind: "kept" | "added" | "gone";
  readonly lines: readonly string[];
}

/**
 * What differs between two snapshots, in about `maxChars`: `+` before lines that are new or read differently, `-`
 * before those that are gone; empty where nothing does. How far in a line is and where the focus is count for nothing.
 * Where one of them is cut, nothing is said of what is further down.
 */
export function describeChanges(before: string, after: string, maxChars: number): string {
  if (before === after) return "";
  const [oldLines, newLines] = asFarAsBoth(linesOf(before), linesOf(after));
  const runs = shortestWay(oldLines, newLines) ?? countedWay(oldLines, newLines);
  const shownRefs = new Set(runs.flatMap(({ kind, lines }) => (kind === "added" ? lines.map(refOf) : [])));
  const changes = runs.flatMap(({ kind, lines }, index) => {
    if (kind === "added") return addedLines(lines);
    if (kind === "kept") return [];
    const next = runs[index + 1];
    const isReplaced = next?.kind === "added" && next.lines.length === lines.length;
    return goneLines(
      lines.filter((line, at) => {
        const ref = refOf(line);
        return ref === undefined ? !(isReplaced && wordsOf(line) === wordsOf(next.lines[at])) : !shownRefs.has(ref);
      }),
    );
  });
  if (changes.length > 0) return fit(changes, maxChars);
  return oldLines.map(keyOf).join("\n") === newLines.map(keyOf).join("\n") ? "" : "The same lines, in another order.";
}

function linesOf(text: string): string[] {
  return text === "" ? [] : text.split("\n");
}

/** Of a page that was read to another depth the second time, what both have read. */
function asFarAsBoth(before: readonly string[], after: readonly string[]): [readonly string[], readonly string[]] {
  const [old, current] = [withoutCut(before), withoutCut(after)];
  const isOldCut = old.length < before.length;
  const isCurrentCut = current.length < after.length;
  return [isCurrentCut ? upToLastOf(old, current) : old, isOldCut ? upToLastOf(current, old) : current];
}

/** The line before the mark may have been cut itself. */
function withoutCut(lines: readonly string[]): readonly string[] {
  return lines.at(-1) === CUT_LINE ? lines.slice(0, -2) : lines;
}

/** Without what follows the last line that the other snapshot has too. */
function upToLastOf(lines: readonly string[], other: readonly string[]): readonly string[] {
  const known = new Set(other.map(keyOf));
  const last = lines.findLastIndex((line) => known.has(keyOf(line)));
  return last < 0 ? lines : lines.slice(0, last + 1);
}

/** What has to be the same in a line that has not changed. */
function keyOf(line: string): string {
  return (REF.test(line) ? line.replace(/ focused(?= |$)/g, "") : line).trim();
}

/** The element that a line begins with tells that it is the same line in a new form. */
function refOf(line: string): string | undefined {
  return REF.exec(line)?.[0];
}

/** So do, where there is none, its words: numbers count up. */
function wordsOf(line: string | undefined): string | undefined {
  return line?.replace(/\d+/g, "0").trim();
}

/** Nothing where the texts have too little in common. */
function shortestWay(before: readonly string[], after: readonly string[]): Run[] | undefined {
  const parts = diffArrays(before.map(keyOf), after.map(keyOf), { maxEditLength: MAX_EDITS });
  let [oldIndex, newIndex] = [0, 0];
  return parts?.map(({ added, removed, count }): Run => {
    const lines = removed ? before.slice(oldIndex, oldIndex + count) : after.slice(newIndex, newIndex + count);
    if (!added) oldIndex += count;
    if (!removed) newIndex += count;
    return { kind: added ? "added" : removed ? "gone" : "kept", lines };
  });
}

/** Whatever their order is: the lines that only one of the texts has, or has more often. */
function countedWay(before: readonly string[], after: readonly string[]): Run[] {
  return [
    { kind: "gone", lines: withoutThoseOf(after, before) },
    { kind: "added", lines: withoutThoseOf(before, after) },
  ];
}

function withoutThoseOf(others: readonly string[], lines: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const key of others.map(keyOf)) counts.set(key, (counts.get(key) ?? 0) + 1);
  return lines.filter((line) => {
    const left = counts.get(keyOf(line)) ?? 0;
    counts.set(keyOf(line), left - 1);
    return left <= 0;
  });
}

/** With their steps to the right among themselves. */
function addedLines(lines: readonly string[]): string[] {
  const indent = Math.min(...lines.map((line) => line.length - line.trimStart().length));
  return lines.map((line) => `+ ${line.slice(indent)}`);
}

function goneLines(lines: readonly string[]): string[] {
  if (lines.length > MAX_GONE_SHOWN) return [`- ${lines.length} lines gone`];
  return lines.map((line) => `- ${clip(line.trim(), MAX_GONE_CHARS)}`);
}

function fit(changes: readonly string[], maxChars: number): string {
  const shown: string[] = [];
  let chars = 0;
  for (const change of changes) {
    if (chars + change.length > maxChars && shown.length > 0) break;
    const line = clip(change, maxChars);
    shown.push(line);
    chars += line.length + 1;
  }
  const left = changes.length - shown.length;
  return [...shown, ...(left > 0 ? [`… and ${left} more changes`] : [])].join("\n");
}
