import { type ByteRange, isConditional, isKnown, isOfAnother, isRangeOfThis, readRange } from "./conditions.ts";
import { encodeName } from "./link-url.ts";
import type { FileBody, FileInfo, FileStore } from "./store.ts";

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
  if (request.method === "GET" && !isConditional(headers)) return whole(await files.read(path));
  const info = await files.stat(path);
  if (isOfAnother(headers, info)) return changed(info);
  if (isKnown(headers, info)) return new Response(null, { status: 304, headers: versionHeaders(info) });
  if (request.method === "HEAD") return new Response(null, { headers: fileHeaders(info) });
  const range = isRangeOfThis(headers, info) ? readRange(headers.get("Range"), info.sizeBytes) : undefined;
  if (range === undefined) return whole(await files.read(path));
  if (range === "unsatisfiable") return unsatisfiable(info);
  return await part(files, info, range);
}

function whole(file: FileBody): Response {
  return new Response(file.body, { headers: fileHeaders(file) });
}

async function part(files: FileStore, known: FileInfo, { offset, length }: ByteRange): Promise<Response> {
  const file = await files.read(known.path, { offset, length });
  if (file.etag !== known.etag) {
    // It was replaced in this moment, and the range is one of what it was.
    await file.body.cancel();
    return whole(await files.read(known.path));
  }
  const headers = fileHeaders(file);
  headers.set("Content-Length", String(length));
  headers.set("Content-Range", `bytes ${offset}-${offset + length - 1}/${file.sizeBytes}`);
  return new Response(file.body, { status: 206, headers });
}

function changed(file: FileInfo): Response {
  return new Response("The file is another than you ask for.\n", { status: 412, headers: versionHeaders(file) });
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
