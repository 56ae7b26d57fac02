import * as z from "zod";
import { ToolError } from "../shared/errors.ts";
import { normalizeFolder } from "../shared/paths.ts";
import { infoOf, reach } from "./bucket.ts";
import type { FilePage, ListOptions } from "./store.ts";

/** R2's keys end here; what a cursor adds up to is never longer. */
const MAX_KEY_BYTES = 1_024;
/** Comes after every name: paths hold no such character. */
const LAST = "\u{10ffff}";
const encoder = new TextEncoder();

/**
 * One page of a folder. R2 finds folders by going through all that is in them, however much that is; a folder that
 * holds files alone is listed without asking for any.
 */
export async function listFolder(bucket: R2Bucket, prefix: string, options: ListOptions): Promise<FilePage> {
  const folder = normalizeFolder(options.folder);
  const start = prefix + folder;
  const after = options.cursor === undefined ? "" : readCursor(options.cursor, folder);
  // What is behind a folder comes after all that is in it.
  const startAfter = start + (after.endsWith("/") ? after + LAST : after);
  if (encoder.encode(startAfter).length > MAX_KEY_BYTES) throw noCursor();
  const begin = start + (options.namePrefix ?? "");
  if (encoder.encode(begin).length > MAX_KEY_BYTES) return { folders: [], files: [] };
  const query: R2ListOptions = { prefix: begin, startAfter, limit: options.limit, include: ["httpMetadata"] };

  const all = await reach(() => bucket.list(query));
  const isFlat = !all.objects.some(({ key }) => key.includes("/", start.length));
  if (options.recursive || isFlat) return pageOf(all, prefix, folder);
  return pageOf(await reach(() => bucket.list({ ...query, delimiter: "/" })), prefix, folder);
}

function pageOf(page: R2Objects, prefix: string, folder: string): FilePage {
  // Some tools mark an empty folder by an object that ends in a slash: it is no file.
  const objects = page.objects.filter(({ key }) => !key.endsWith("/"));
  const folders = page.delimitedPrefixes.map((key) => key.slice(prefix.length));
  const shown = [page.objects.at(-1)?.key.slice(prefix.length), folders.at(-1)].filter((name) => name !== undefined);
  const last = shown.length === 2 && isBefore(shown[0], shown[1]) ? shown[1] : shown[0];
  return {
    folders,
    files: objects.map((object) => infoOf(object, prefix)),
    ...(page.truncated && last !== undefined && { cursor: writeCursor(folder, last.slice(folder.length)) }),
  };
}

/** In R2's order, that of the bytes. */
function isBefore(a: string = "", b: string = ""): boolean {
  const [first, second] = [encoder.encode(a), encoder.encode(b)];
  const index = first.findIndex((byte, at) => byte !== second[at]);
  return index === -1 ? first.length < second.length : (first[index] ?? 0) < (second[index] ?? -1);
}

/** The folder that is listed, and the last name that was shown of it. */
const cursorSchema = z.tuple([z.string(), z.string().min(1)]);

function writeCursor(folder: string, after: string): string {
  const json = JSON.stringify([folder, after]);
  return encoder.encode(json).toBase64({ alphabet: "base64url", omitPadding: true });
}

/** The name after which the page begins. */
function readCursor(cursor: string, folder: string): string {
  try {
    const json = new TextDecoder().decode(Uint8Array.fromBase64(cursor, { alphabet: "base64url" }));
    const [listed, after] = cursorSchema.parse(JSON.parse(json));
    if (listed === folder && after.isWellFormed()) return after;
  } catch {
    // Said below.
  }
  throw noCursor();
}

function noCursor(): ToolError {
  return new ToolError("invalid_input", "This is no cursor of this folder; list it again without one.");
}
