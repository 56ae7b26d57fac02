import * as z from "zod";
import { MAX_OPEN_UPLOADS } from "../../servers/account/uploads.ts";
import { contentOf } from "../../servers/files/bucket.ts";
import { ToolError } from "../../servers/shared/errors.ts";
import { filesOwner, uploadsPrefix } from "../../servers/shared/paths.ts";
import { readAttributes } from "./attributes.ts";
import { type Mounted, keyOf } from "./reads.ts";
import { MADE_BY, copySource, relocate, sizeOf } from "./writes.ts";
import { copyXml, readParts, uploadXml, xmlAnswer } from "./xml.ts";

/*
 * A large file comes in parts, to a place beside the files from where it is put in its own as any other: nothing of it
 * is seen before it is whole. Where s3fs renames a large file or changes its mode, the parts are copies of a file that
 * is there; then nothing is uploaded at all.
 */

/** What an upload's id says: all that is known of it, since each request may come to another isolate. */
const uploadSchema = z.object({
  place: z.uuid(),
  uploadId: z.string(),
  attributes: z.object({ mode: z.string().exactOptional(), mtime: z.string().exactOptional() }),
});
type Upload = z.output<typeof uploadSchema>;

/** The etag of a part that is a copy. */
const copiedSchema = z.object({ from: z.string(), first: z.int(), last: z.int(), ofBytes: z.int() });
type Copied = z.output<typeof copiedSchema>;
const COPIED = "copied-";

/** In place of a link's id, which is never this. */
const FROM_MOUNT = "mount";
const MAX_PARTS_XML_BYTES = 4_000_000;

export async function beginUpload(mounted: Mounted, path: string, headers: Headers): Promise<Response> {
  keyOf(mounted, path);
  const attributes = readAttributes(headers);
  const place = crypto.randomUUID();
  const { uploadId } = await mounted.bucket.createMultipartUpload(placeKey(mounted, place));
  try {
    await reserve(mounted, place, uploadId, path);
  } catch (failure) {
    await mounted.bucket.resumeMultipartUpload(placeKey(mounted, place), uploadId).abort();
    throw failure;
  }
  return xmlAnswer(
    uploadXml("InitiateMultipartUploadResult", encode({ place, uploadId, attributes } satisfies Upload)),
  );
}

/** s3fs does not say how large it will be: it is refused here where nothing more fits, else when it is whole. */
async function reserve(mounted: Mounted, place: string, bucketUploadId: string, path: string): Promise<void> {
  const { filesBytes, trashBytes, quotaBytes } = await mounted.files.usage();
  const upload = {
    ...{ id: place, linkId: FROM_MOUNT, key: placeKey(mounted, place), bucketUploadId, path },
    ...{ sizeBytes: 1, startedAtMs: Date.now() },
  };
  const reservation = await mounted.account.reserveUpload(upload, quotaBytes - filesBytes - trashBytes);
  if (reservation === "too_many") {
    throw new ToolError("limit_reached", `${MAX_OPEN_UPLOADS} large files are being written; let some of them end.`);
  }
  if (reservation === "no_room") {
    throw new ToolError("limit_reached", "Your files have no room left; delete some, or empty the trash.");
  }
}

export async function uploadPart(
  mounted: Mounted,
  id: string,
  part: string | null,
  request: Request,
): Promise<Response> {
  const sizeBytes = sizeOf(request);
  const partNumber = Number(part);
  if (!Number.isInteger(partNumber) || partNumber < 1 || request.body === null) {
    throw new ToolError("invalid_input", "A part needs a number and bytes.");
  }
  const { readable, writable } = new FixedLengthStream(sizeBytes);
  const piped = request.body.pipeTo(writable);
  piped.catch(() => undefined);
  const { etag } = await resume(mounted, decode(uploadSchema, id)).uploadPart(partNumber, readable);
  await piped;
  return new Response(null, { headers: { ETag: `"${etag}"` } });
}

export async function copyPart(mounted: Mounted, source: string, range: string | null): Promise<Response> {
  const from = copySource(source);
  const object = await mounted.bucket.head(keyOf(mounted, from));
  if (object === null) throw new ToolError("not_found", `There is no file ${from}.`);
  const [, first, last] = /^bytes=(\d{1,15})-(\d{1,15})$/.exec(range ?? "") ?? [];
  if (last === undefined) throw new ToolError("invalid_input", "A part that is copied needs a range.");
  const copied: Copied = { from, first: Number(first), last: Number(last), ofBytes: object.size };
  return xmlAnswer(copyXml("CopyPartResult", COPIED + encode(copied)));
}

export async function completeUpload(mounted: Mounted, path: string, id: string, request: Request): Promise<Response> {
  if (sizeOf(request) > MAX_PARTS_XML_BYTES) throw new ToolError("too_large", "Those are too many parts.");
  const upload = decode(uploadSchema, id);
  const parts = readParts(await request.text());
  const [first] = parts;
  if (first === undefined) throw new ToolError("invalid_input", "An upload needs a part.");
  const isCopied = first.etag.startsWith(COPIED);
  if (isCopied) await placeCopied(mounted, path, upload, parts);
  else await placeUploaded(mounted, path, upload, parts);
  return xmlAnswer(uploadXml("CompleteMultipartUploadResult", id));
}

export async function abortUpload(mounted: Mounted, id: string): Promise<Response> {
  await giveUp(mounted, decode(uploadSchema, id));
  return new Response(null, { status: 204 });
}

async function placeUploaded(
  mounted: Mounted,
  path: string,
  upload: Upload,
  parts: readonly R2UploadedPart[],
): Promise<void> {
  const { bucket, files } = mounted;
  const key = placeKey(mounted, upload.place);
  await resume(mounted, upload).complete([...parts]);
  try {
    const object = await bucket.get(key);
    if (object === null) throw new Error("An upload that was completed is gone.");
    const madeBy = { ...MADE_BY, ...upload.attributes };
    await files.write(path, contentOf(object), { madeBy, inSteps: true });
  } finally {
    await bucket.delete(key);
    await mounted.account.endUpload(upload.place);
  }
}

/** s3fs copies a file whole or not at all. */
async function placeCopied(
  mounted: Mounted,
  path: string,
  upload: Upload,
  parts: readonly R2UploadedPart[],
): Promise<void> {
  const copied = parts.map(({ etag }) => decode(copiedSchema, etag.slice(COPIED.length)));
  const [head] = copied;
  let next = 0;
  for (const { from, first, last, ofBytes } of copied) {
    if (from !== head?.from || ofBytes !== head.ofBytes || first !== next) throw notWhole();
    next = last + 1;
  }
  if (head === undefined || next !== head.ofBytes) throw notWhole();
  await relocate(mounted, head.from, path, upload.attributes);
  await giveUp(mounted, upload);
}

async function giveUp(mounted: Mounted, upload: Upload): Promise<void> {
  await resume(mounted, upload).abort();
  await mounted.account.endUpload(upload.place);
}

function notWhole(): ToolError {
  return new ToolError("invalid_input", "Only whole files are copied.");
}

function resume(mounted: Mounted, { place, uploadId }: Upload): R2MultipartUpload {
  return mounted.bucket.resumeMultipartUpload(placeKey(mounted, place), uploadId);
}

function placeKey({ files }: Mounted, place: string): string {
  return uploadsPrefix(filesOwner(files.prefix)) + place;
}

function encode(value: Upload | Copied): string {
  return new TextEncoder().encode(JSON.stringify(value)).toBase64({ alphabet: "base64url", omitPadding: true });
}

function decode<Schema extends z.ZodType>(schema: Schema, encoded: string): z.output<Schema> {
  try {
    const json = new TextDecoder().decode(Uint8Array.fromBase64(encoded, { alphabet: "base64url" }));
    return schema.parse(JSON.parse(json));
  } catch (cause) {
    throw new ToolError("invalid_input", "There is no such upload.", { cause });
  }
}
