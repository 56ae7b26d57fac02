import * as z from "zod";
import { type ToolContext, defineTool } from "../core/tool.ts";
import { decodeText } from "../shared/text.ts";
import { AT_A_TIME, readListed } from "./batch.ts";
import type { FileInfo, FileStore } from "./store.ts";
import { type Entry, type WalkOptions, cursorAfter, walk } from "./walk.ts";

/** What one call looks at, whichever it comes to first. */
const MAX_NAMES = 10_000;
const MAX_READ_FILES = 500;
const MAX_READ_BYTES = 20 * 1024 * 1024;
const MAX_MATCHES = 100;

const MAX_FILE_BYTES = 4 * 1024 * 1024;
const MAX_LINES_PER_FILE = 10;
const MAX_LINE_CHARS = 300;
const MAX_SHOWN_SKIPPED = 20;

const output = z.object({
  matches: z.array(z.object({ path: z.string(), line: z.number().optional(), text: z.string().optional() })),
  /** Files whose contents were not searched, and why. */
  skipped: z.array(z.string()).optional(),
  skipped_files: z.number().optional(),
  cursor: z.string().optional(),
});

type Match = z.input<typeof output>["matches"][number];

export const filesSearch = defineTool({
  name: "files_search",
  title: "Search files",
  description: "Finds plain text, in any case unless it has capitals; sandbox_search takes a regex.",
  input: z.strictObject({
    query: z.string().min(1).max(1_000).describe("Text"),
    in: z.enum(["names", "contents", "both"]).optional().describe("Where"),
    folder: z.string().max(900).optional().describe("Folder"),
    glob: z.string().min(1).max(300).optional().describe("Which files"),
    cursor: z.string().max(8_000).optional().describe("From the last call"),
  }),
  output,
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  scopes: ["files:read"],
  handler: async ({ query, in: where = "both", folder = "", glob, cursor }, context) => {
    const found = createFindings(query, where, context.files);
    const walked = {
      ...{ folder, isDeep: true },
      ...(glob === undefined ? {} : { glob }),
      ...(cursor === undefined ? {} : { cursor }),
    };
    const next = await search(walked, found, context);
    const { matches, skipped } = found;
    return {
      output: {
        matches,
        ...(skipped.length === 0 ? {} : { skipped: skipped.slice(0, MAX_SHOWN_SKIPPED) }),
        ...(skipped.length <= MAX_SHOWN_SKIPPED ? {} : { skipped_files: skipped.length }),
        ...(next === undefined ? {} : { cursor: next }),
      },
    };
  },
});

/** Where the next call goes on, unless all was searched. */
async function search(
  walked: WalkOptions,
  found: Findings,
  { files, signal, reportProgress }: ToolContext,
): Promise<string | undefined> {
  let names = 0;
  for await (const { entries, looked, cursor } of walk(files, walked)) {
    for (let at = 0; at < entries.length;) {
      const batch = fitting(entries.slice(at, at + AT_A_TIME), found.bytesLeft());
      await found.lookAt(batch.flatMap(({ file }) => file ?? []));
      at += batch.length;
      const last = batch.at(-1);
      const isEnd = at === entries.length && cursor === undefined;
      if ((found.isFull() || signal.aborted) && last !== undefined && !isEnd) return cursorAfter(last);
    }
    names += looked;
    reportProgress(`${names} files, ${found.matches.length} matches`);
    if (names >= MAX_NAMES) return cursor;
  }
  return undefined;
}

/** So many of the files as fit, and always one. */
function fitting(entries: readonly Entry[], maxBytes: number): readonly Entry[] {
  let bytes = 0;
  const end = entries.findIndex(({ file }) => (bytes += file?.sizeBytes ?? 0) > maxBytes);
  return end === -1 ? entries : entries.slice(0, Math.max(1, end));
}

interface Findings {
  readonly matches: Match[];
  readonly skipped: string[];
  readonly lookAt: (files: readonly FileInfo[]) => Promise<void>;
  readonly bytesLeft: () => number;
  /** Whether the call has done as much as one call does. */
  readonly isFull: () => boolean;
}

function createFindings(query: string, where: "names" | "contents" | "both", files: FileStore): Findings {
  const fold = query === query.toLowerCase() ? (text: string) => text.toLowerCase() : (text: string) => text;
  const matches: Match[] = [];
  const skipped: string[] = [];
  let [readBytes, readFiles] = [0, 0];

  const linesOf = async (info: FileInfo): Promise<Match[]> => {
    if (/^(image\/(?!svg)|audio\/|video\/)/.test(info.mimeType) || info.sizeBytes === 0) return [];
    if (info.sizeBytes > MAX_FILE_BYTES) {
      skipped.push(`${info.path}: ${info.sizeBytes} bytes`);
      return [];
    }
    readBytes += info.sizeBytes;
    readFiles += 1;
    const bytes = await readListed(files, info.path);
    if (bytes === undefined) return [];
    const text = decodeText(bytes)?.text;
    if (text === undefined) skipped.push(`${info.path}: binary`);
    if (text === undefined || !fold(text).includes(query)) return [];
    return matchingLines(text, query, fold, info.path);
  };

  return {
    matches,
    skipped,
    bytesLeft: () => MAX_READ_BYTES - readBytes,
    isFull: () => matches.length >= MAX_MATCHES || readBytes >= MAX_READ_BYTES || readFiles >= MAX_READ_FILES,
    lookAt: async (some) => {
      const found = await Promise.all(
        some.map(async (file) => {
          const isNamed = where !== "contents" && fold(file.path).includes(query.normalize("NFC"));
          return [...(isNamed ? [{ path: file.path }] : []), ...(where === "names" ? [] : await linesOf(file))];
        }),
      );
      matches.push(...found.flat());
    },
  };
}

function matchingLines(text: string, query: string, fold: (text: string) => string, path: string): Match[] {
  const shown: Match[] = [];
  let found = 0;
  // Line by line: all lines of a long file at once would take many times its size.
  for (let start = 0, line = 1; start <= text.length; line++) {
    const end = text.indexOf("\n", start);
    const stop = end === -1 ? text.length : end;
    const content = text.slice(start, stop);
    const at = fold(content).indexOf(query);
    if (at !== -1) found += 1;
    if (at !== -1 && shown.length < MAX_LINES_PER_FILE) shown.push({ path, line, text: excerpt(content, at) });
    start = stop + 1;
  }
  const more = found - shown.length;
  return more === 0 ? shown : [...shown, { path, text: `… ${more} more lines` }];
}

/** The line, or so much of it around what was found. */
function excerpt(line: string, at: number): string {
  const trimmed = line.replace(/\r$/, "");
  if (trimmed.length <= MAX_LINE_CHARS) return trimmed;
  const start = Math.max(0, Math.min(at - MAX_LINE_CHARS / 3, trimmed.length - MAX_LINE_CHARS));
  return `…${trimmed.slice(start, start + MAX_LINE_CHARS).toWellFormed()}…`;
}
