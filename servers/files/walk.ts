import * as z from "zod";
import { ToolError } from "../shared/errors.ts";
import { normalizeFolder } from "../shared/paths.ts";
import { parseGlob } from "./glob.ts";
import type { FileInfo, FileStore } from "./store.ts";

/** The largest page that a store gives; it may give less. */
const MAX_PAGE = 1_000;
/** Names that one call looks at for those that a glob wants. */
const MAX_LOOKED_AT = 10_000;

export interface WalkOptions {
  readonly folder: string;
  /** From the folder on; without one, everything in it is met. */
  readonly glob?: string;
  /** Everything below the folder; a glob says so itself. */
  readonly isDeep?: boolean;
  readonly cursor?: string;
}

/** A folder is met by its name alone, with a slash at its end. */
export interface Entry {
  readonly path: string;
  readonly file?: FileInfo;
  /** The store's page that it was on. */
  readonly page?: string;
}

export interface Stretch {
  readonly entries: readonly Entry[];
  /** How many names were looked at for them. */
  readonly looked: number;
  /** Where a later walk goes on after them; absent at the end. */
  readonly cursor?: string;
}

/** Where a later walk goes on once this entry, and all before it, have been dealt with. */
export function cursorAfter({ page, path }: Entry): string {
  return cursorOf({ ...(page === undefined ? {} : { page }), after: path });
}

/** The next entries, up to `limit`, of as many names as one call looks at. */
export async function take(
  files: FileStore,
  options: WalkOptions,
  limit: number,
): Promise<{ readonly entries: readonly Entry[]; readonly cursor?: string }> {
  const taken: Entry[] = [];
  let looked = 0;
  for await (const stretch of walk(files, options, limit)) {
    taken.push(...stretch.entries.slice(0, limit - taken.length));
    looked += stretch.looked;
    const last = taken.at(-1);
    const isCut = last !== undefined && last !== stretch.entries.at(-1) && stretch.entries.includes(last);
    if (isCut) return { entries: taken, cursor: cursorAfter(last) };
    if (stretch.cursor === undefined) break;
    if (taken.length >= limit || looked >= MAX_LOOKED_AT) return { entries: taken, cursor: stretch.cursor };
  }
  return { entries: taken };
}

/** The store's page, and the last name of it that has been dealt with. No secret, and nothing that is trusted. */
const placeSchema = z.strictObject({ page: z.string().optional(), after: z.string().optional() });
type Place = z.output<typeof placeSchema>;

/** A caller's files by name, page by page: whoever walks decides after each how far to go. */
export async function* walk(
  files: FileStore,
  { folder, glob, isDeep = false, cursor }: WalkOptions,
  limit = MAX_PAGE,
): AsyncGenerator<Stretch> {
  const base = normalizeFolder(folder);
  const pattern = glob === undefined ? undefined : parseGlob(glob);
  let place = cursor === undefined ? {} : parsePlace(cursor);
  for (;;) {
    const { page, after } = place;
    const listed = await files.list({
      folder: base + (pattern?.folder ?? ""),
      namePrefix: pattern?.namePrefix ?? "",
      recursive: pattern?.isDeep ?? isDeep,
      limit: pattern === undefined ? Math.min(limit, MAX_PAGE) : MAX_PAGE,
      ...(page === undefined ? {} : { cursor: page }),
    });
    const of = page === undefined ? {} : { page };
    const all: Entry[] = [
      ...listed.folders.map((path) => ({ path, ...of })),
      ...listed.files.map((file) => ({ path: file.path, file, ...of })),
    ];
    const next = listed.cursor;
    yield {
      entries: all
        .filter(({ path }) => after === undefined || compareNames(path, after) > 0)
        .filter(({ path }) => pattern === undefined || pattern.matches(path.slice(base.length).replace(/\/$/, "")))
        .toSorted((one, other) => compareNames(one.path, other.path)),
      looked: all.length,
      ...(next === undefined ? {} : { cursor: cursorOf({ page: next }) }),
    };
    if (next === undefined) return;
    place = { page: next };
  }
}

function cursorOf(place: Place): string {
  return new TextEncoder().encode(JSON.stringify(place)).toBase64({ alphabet: "base64url", omitPadding: true });
}

function parsePlace(cursor: string): Place {
  try {
    return placeSchema.parse(
      JSON.parse(new TextDecoder().decode(Uint8Array.fromBase64(cursor, { alphabet: "base64url" }))),
    );
  } catch (cause) {
    throw new ToolError("invalid_input", "That is no cursor; call again without one.", { cause });
  }
}

/** The order of a store's pages: by code points, as UTF-8 is by its bytes. */
function compareNames(one: string, other: string): number {
  const length = Math.min(one.length, other.length);
  let at = 0;
  while (at < length && one.charCodeAt(at) === other.charCodeAt(at)) at++;
  if (at === length) return one.length - other.length;
  return rank(one.charCodeAt(at)) - rank(other.charCodeAt(at));
}

/** Halves of pairs come after all other units, as what they spell does. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}
