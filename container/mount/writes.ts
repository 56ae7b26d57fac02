import { ToolError } from "../../servers/shared/errors.ts";
import { normalizePath } from "../../servers/shared/paths.ts";
import { type Attributes, FOLDER_TYPE, hasSameAttributes, readAttributes } from "./attributes.ts";
import { type Mounted, keyOf } from "./reads.ts";
import { copyXml, xmlAnswer } from "./xml.ts";

/** What a file's metadata says of who made it, as the local sandbox's does. */
export const MADE_BY = { by: "sandbox" } as const;

export async function write(mounted: Mounted, path: string, request: Request): Promise<Response> {
  const attributes = readAttributes(request.headers);
  const sizeBytes = sizeOf(request);
  if (path.endsWith("/")) {
    if (sizeBytes > 0) throw new ToolError("invalid_input", "A folder holds no bytes of its own.");
    return new Response(null, {
      headers: { ETag: (await putFolder(mounted, keyOf(mounted, path), attributes)).httpEtag },
    });
  }
  const body = request.body === null ? new Uint8Array() : { body: request.body, sizeBytes };
  const { etag } = await mounted.files.write(path, body, {
    madeBy: { ...MADE_BY, ...attributes },
    inSteps: true,
  });
  return new Response(null, { headers: { ETag: `"${etag}"` } });
}

/** R2 takes no stream whose length is unknown. */
export function sizeOf(request: Request): number {
  const given = request.headers.get("Content-Length") ?? "";
  if (!/^\d{1,15}$/.test(given)) throw new ToolError("invalid_input", "The length of what is written is missing.");
  return Number(given);
}

export async function remove(mounted: Mounted, path: string): Promise<Response> {
  await keepFolderOf(mounted, path);
  if (path.endsWith("/")) await mounted.bucket.delete(keyOf(mounted, path));
  else await mounted.files.remove(path);
  return new Response(null, { status: 204 });
}

/** The file that an `x-amz-copy-source` header names. */
export function copySource(header: string): string {
  const [, path] = /^\/?[^/]+\/(.+)$/.exec(decodeURIComponent(header)) ?? [];
  if (path === undefined) throw new ToolError("invalid_input", "The name of what is copied is missing.");
  return path;
}

/**
 * A copy onto itself is how s3fs changes mode and time; one to another name is the first half of a rename, whose
 * second half removes the original. Both are done as what they are, else each would leave a version in the trash.
 */
export async function copy(mounted: Mounted, from: string, to: string, headers: Headers): Promise<Response> {
  const etag = await relocate(mounted, from, to, readAttributes(headers));
  return xmlAnswer(copyXml("CopyObjectResult", etag));
}

/** The etag of what is at `to` then. */
export async function relocate(mounted: Mounted, from: string, to: string, attributes: Attributes): Promise<string> {
  if (to.endsWith("/")) return (await putFolder(mounted, keyOf(mounted, to), attributes)).etag;
  if (normalizePath(from) === normalizePath(to)) return await retouch(mounted, to, attributes);
  await keepFolderOf(mounted, from);
  return (await mounted.files.move(from, to, { replace: true })).etag;
}

/** The same bytes under new attributes: nothing for the trash and nothing to count. */
async function retouch(mounted: Mounted, path: string, attributes: Attributes): Promise<string> {
  const key = keyOf(mounted, path);
  const object = await mounted.bucket.get(key);
  if (object === null) throw new ToolError("not_found", `There is no file ${path}.`);
  if (hasSameAttributes(object, attributes)) {
    await object.body.cancel();
    return object.etag;
  }
  const { mode: _, ...metadata } = object.customMetadata ?? {};
  const written = await mounted.bucket.put(key, object.body, {
    ...(object.httpMetadata === undefined ? {} : { httpMetadata: object.httpMetadata }),
    customMetadata: { ...metadata, ...attributes },
    onlyIf: { etagMatches: object.etag },
  });
  if (written === null) throw new ToolError("conflict", `${path} was written meanwhile; try again.`);
  return written.etag;
}

async function putFolder({ bucket }: Mounted, key: string, attributes: Attributes): Promise<R2Object> {
  return await bucket.put(key, new Uint8Array(), {
    httpMetadata: { contentType: FOLDER_TYPE },
    customMetadata: { ...attributes },
  });
}

/** A folder that is there only by what it holds, made by files_write, would be gone with the last of it. */
async function keepFolderOf(mounted: Mounted, path: string): Promise<void> {
  const end = path.replace(/\/$/, "").lastIndexOf("/");
  if (end <= 0) return;
  const key = keyOf(mounted, path.slice(0, end + 1));
  if ((await mounted.bucket.head(key)) === null) await putFolder(mounted, key, {});
}
