import { type ByteRange, isKnown, isOther, isRangeOfThis, readRange } from "./conditions.ts";
import { encodeName } from "./link-url.ts";
import type { FileInfo, FileStore } from "./store.ts";

/**
 * What is shared is hostile, whatever it calls itself. The CSP `sandbox` without `allow-scripts` and
 * `allow-same-origin` gives a page (HTML, SVG, XML with its XSLT) no script, no form and an opaque origin; nothing else
 * on the origin can load or frame it; and no type is guessed.
 */
const HOSTILE_HEADERS = {
  "Content-Security-Policy":
    "sandbox; default-src 'none'; img-src data: 'self'; media-src data: 'self'; style-src 'unsafe-inline'; font-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "no-referrer",
  "X-Robots-Tag": "noindex",
  // A link is asked each time, since it may be revoked; and a range counts the bytes that we sent.
  "Cache-Control": "private, no-store, no-transform",
} as const;

/** Answers GET and HEAD for one file, whole or a range of it. Rejects with `not_found` where it has gone. */
export async function serveDownload(request: Request, files: FileStore, path: string): Promise<Response> {
  const { headers } = request;
  const asksOnlyForChange = headers.has("If-None-Match") || headers.has("If-Modified-Since");
  if (request.method === "GET" && !headers.has("Range") && !asksOnlyForChange) return await whole(headers, files, path);
  const info = await files.stat(path);
  if (isOther(headers, info)) return anotherVersion(info);
  if (isKnown(headers, info)) return new Response(null, { status: 304, headers: versionHeaders(info) });
  if (request.method === "HEAD") return new Response(null, { headers: fileHeaders(info) });
  const range = isRangeOfThis(headers, info) ? readRange(headers.get("Range"), info.sizeBytes) : undefined;
  if (range === undefined) return await whole(headers, files, path);
  if (range === "unsatisfiable") return unsatisfiable(info);
  return await part(headers, files, info, range);
}

async function whole(headers: Headers, files: FileStore, path: string): Promise<Response> {
  const file = await files.read(path);
  if (!isOther(headers, file)) return new Response(file.body, { headers: fileHeaders(file) });
  await file.body.cancel();
  return anotherVersion(file);
}

async function part(
  asked: Headers,
  files: FileStore,
  known: FileInfo,
  { offset, length }: ByteRange,
): Promise<Response> {
  const file = await files.read(known.path, { offset, length });
  if (file.etag !== known.etag) {
    // It was replaced in this moment, and the range is one of what it was.
    await file.body.cancel();
    return await whole(asked, files, known.path);
  }
  const headers = fileHeaders(file);
  headers.set("Content-Length", String(length));
  headers.set("Content-Range", `bytes ${offset}-${offset + length - 1}/${file.sizeBytes}`);
  return new Response(file.body, { status: 206, headers });
}

function anotherVersion(file: FileInfo): Response {
  return new Response("The file is another version by now.\n", { status: 412, headers: versionHeaders(file) });
}

function unsatisfiable(file: FileInfo): Response {
  const headers = versionHeaders(file);
  headers.set("Content-Range", `bytes */${file.sizeBytes}`);
  return new Response("The file has no such bytes.\n", { status: 416, headers });
}

function versionHeaders(file: FileInfo): Headers {
  return new Headers({
    ...HOSTILE_HEADERS,
    ETag: `"${file.etag}"`,
    "Last-Modified": file.modifiedAt.toUTCString(),
    "Accept-Ranges": "bytes",
  });
}

function fileHeaders(file: FileInfo): Headers {
  const type = servedType(file.mimeType);
  const name = encodeName(file.path.slice(file.path.lastIndexOf("/") + 1));
  const headers = versionHeaders(file);
  headers.set("Content-Type", type);
  headers.set("Content-Length", String(file.sizeBytes));
  headers.set("Content-Disposition", `${isShownInline(type) ? "inline" : "attachment"}; filename*=UTF-8''${name}`);
  return headers;
}

/** A file's type, harmless: what is no type is bytes, and what another page could load as its program is text. */
function servedType(mimeType: string): string {
  if (!/^[a-z0-9][\w.+-]*\/[a-z0-9][\w.+-]*(; ?charset=[\w-]+)?$/i.test(mimeType)) return "application/octet-stream";
  if (/^[^;]*(ecma|java|j|live)script/i.test(mimeType)) return "text/plain; charset=utf-8";
  return /^text\/[^;]+$/i.test(mimeType) ? `${mimeType}; charset=utf-8` : mimeType;
}

/** A PDF is not: Chrome's viewer does not work in a sandboxed page, and without the sandbox it runs what is in it. */
function isShownInline(mimeType: string): boolean {
  return /^(text\/|image\/|audio\/|video\/|application\/json\b)/i.test(mimeType);
}
