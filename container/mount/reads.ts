import type { OpenUpload, Reservation } from "../../servers/account/uploads.ts";
import type { FileStore } from "../../servers/files/store.ts";
import { ToolError } from "../../servers/shared/errors.ts";
import { normalizeFolder, normalizePath } from "../../servers/shared/paths.ts";
import { attributeHeaders } from "./attributes.ts";
import { listingXml, xmlAnswer } from "./xml.ts";

/** One person's files. What changes goes through `files`, so that trash and quota hold; what is only read does not. */
export interface Mounted {
  readonly bucket: R2Bucket;
  readonly files: FileStore;
  readonly account: UploadsAccount;
}

/** Knows what is under way, so that nothing of it stays in the bucket where nobody finishes it. */
export interface UploadsAccount {
  reserveUpload(upload: OpenUpload, roomBytes: number): Promise<Reservation>;
  endUpload(id: string): Promise<void>;
}

const MAX_KEYS = 1_000;

/**
 * The key of a file, or of a folder, which ends in a slash: an empty object that s3fs makes for a folder, and which
 * need not be there. Rejects with `invalid_input`.
 */
export function keyOf({ files }: Mounted, path: string): string {
  return files.prefix + (path.endsWith("/") ? normalizeFolder(path) : normalizePath(path));
}

export async function head(mounted: Mounted, path: string): Promise<Response> {
  const key = keyOf(mounted, path);
  const object = await mounted.bucket.head(key);
  if (object !== null) {
    const headers = attributeHeaders(object, key.endsWith("/"));
    headers.set("Content-Length", String(object.size));
    return new Response(null, { headers });
  }
  // What files_write put into a folder made no object for that.
  const below = key.endsWith("/") ? await mounted.bucket.list({ prefix: key, limit: 1 }) : undefined;
  const [first] = below?.objects ?? [];
  return first === undefined
    ? new Response(null, { status: 404 })
    : new Response(null, { headers: attributeHeaders(first, true) });
}

export async function read(mounted: Mounted, path: string, rangeHeader: string | null): Promise<Response> {
  const range = rangeOf(rangeHeader);
  const object = await mounted.bucket.get(keyOf(mounted, path), range === undefined ? {} : { range });
  if (object === null) return new Response(null, { status: 404 });
  const headers = attributeHeaders(object, path.endsWith("/"));
  if (range === undefined) {
    headers.set("Content-Length", String(object.size));
    return new Response(object.body, { headers });
  }
  const end = Math.min(range.offset + range.length, object.size);
  headers.set("Content-Length", String(end - range.offset));
  headers.set("Content-Range", `bytes ${range.offset}-${end - 1}/${object.size}`);
  return new Response(object.body, { status: 206, headers });
}

function rangeOf(header: string | null): { offset: number; length: number } | undefined {
  if (header === null) return undefined;
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(header) ?? [];
  if (first === undefined || last === undefined || Number(last) < Number(first)) {
    throw new ToolError("invalid_input", "Only ranges with a first and a last byte are read.");
  }
  return { offset: Number(first), length: Number(last) - Number(first) + 1 };
}

/** One folder, or all that is below it where no delimiter is asked for, without the folder's own object. */
export async function list(mounted: Mounted, query: URLSearchParams): Promise<Response> {
  const { bucket, files } = mounted;
  const folder = normalizeFolder(query.get("prefix") ?? "");
  const cursor = query.get("continuation-token");
  const page = await bucket.list({
    prefix: files.prefix + folder,
    limit: Math.min(Number(query.get("max-keys") ?? MAX_KEYS) || MAX_KEYS, MAX_KEYS),
    ...(query.get("delimiter") === "/" ? { delimiter: "/" } : {}),
    ...(cursor === null ? {} : { cursor }),
  });
  const shown = page.objects
    .map((object) => ({ object, path: object.key.slice(files.prefix.length) }))
    .filter(({ path }) => path !== folder);
  const folders = page.delimitedPrefixes.map((key) => key.slice(files.prefix.length));
  return xmlAnswer(listingXml(folder, shown, folders, page.truncated ? page.cursor : undefined));
}
