import * as z from "zod";
import { callRecorded } from "../core/call.ts";
import { ToolError } from "../shared/errors.ts";
import { normalizePath } from "../shared/paths.ts";
import type { LinkHost, LinkVisit } from "./link.ts";
import { methodNotAllowed, refusal, say } from "./link-answers.ts";
import { MAX_UPLOAD_BYTES, PART_BYTES, Staging, type StagedUpload } from "./staging.ts";
import type { FileInfo } from "./store.ts";
import { uploadPage } from "./upload-page.ts";

/** How many files one link lets in. The quota bounds what they come to. */
const MAX_FILES_IN = 1_000;

/** What a request to an upload link is about, besides its method. */
const querySchema = z.object({
  uploads: z.string().optional(),
  size: z.coerce.number().int().min(1).max(MAX_UPLOAD_BYTES).optional(),
  upload: z.string().max(64).optional(),
  part: z.coerce.number().int().min(1).max(10_000).optional(),
  complete: z.string().optional(),
});

/**
 * Serves an upload link. Whole: `PUT`. In parts: `POST ?uploads&size=BYTES` answers with the upload's id,
 * `PUT ?upload=ID&part=N` sends each, `GET ?upload=ID` lists those that are there, `POST ?upload=ID&complete` puts the
 * file in its place, `DELETE ?upload=ID` gives it up. `GET` alone is the page that does all this.
 */
export async function serveUpload(request: Request, name: string, visit: LinkVisit, host: LinkHost): Promise<Response> {
  const { link, files, account, pipeline } = visit;
  if (!isFromOurPage(request)) return say(403, "Pages of other origins may not send files by this link.");
  const staging = new Staging(host.bucket, files, account, {
    userId: pipeline.caller.userId,
    linkId: link.id,
    now: host.now,
  });
  const answering = answer(request, name, visit, staging, host.publicUrl);
  // What a client that goes away has sent half of is to be removed.
  host.waitUntil(answering.catch(() => undefined));
  try {
    return await answering;
  } catch (failure) {
    if (!(failure instanceof ToolError)) throw failure;
    return refusal(failure);
  }
}

async function answer(
  request: Request,
  name: string,
  visit: LinkVisit,
  staging: Staging,
  publicUrl: string,
): Promise<Response> {
  const { searchParams, pathname } = new URL(request.url);
  const query = querySchema.safeParse(Object.fromEntries(searchParams));
  if (!query.success) {
    throw new ToolError("invalid_input", `size is a number of bytes from 1 to ${MAX_UPLOAD_BYTES}, part one from 1.`);
  }
  const { upload: id, size, part, uploads, complete } = query.data;
  const begun = id === undefined ? undefined : await staging.find(id);
  switch (request.method) {
    case "GET":
    case "HEAD":
      return begun === undefined ? uploadPage(visit.link, publicUrl + pathname) : listParts(begun);
    case "PUT":
      if (begun === undefined) return await receive(request, targetOf(visit, name), visit, staging);
      return await receivePart(request, begun, part, staging);
    case "POST":
      if (begun !== undefined && complete !== undefined) return await finish(begun, visit, staging);
      if (uploads === undefined || size === undefined) break;
      return say(201, (await staging.begin(targetOf(visit, name), size)).id);
    case "DELETE":
      if (begun === undefined) break;
      await staging.remove(begun.upload);
      return say(200, "Given up.");
    default:
      return methodNotAllowed("An upload link answers GET, PUT, POST and DELETE.", "GET, HEAD, PUT, POST, DELETE");
  }
  throw new ToolError("invalid_input", "That asks for nothing that an upload link does; open it in a browser to see.");
}

/**
 * Where the file goes. A folder takes it under its own name, which is one name and no path. Those that come in at the
 * same time are not counted on each other.
 */
function targetOf({ link: { path, filesIn } }: LinkVisit, name: string): string {
  if (filesIn >= MAX_FILES_IN) {
    throw new ToolError("limit_reached", `This link has let in ${MAX_FILES_IN} files; ask for a new one.`);
  }
  if (!path.endsWith("/")) return path;
  if (name === "" || name.includes("/")) {
    throw new ToolError("invalid_input", "End the link with the file's name: curl -T does it by itself.");
  }
  return normalizePath(path + name);
}

/** A whole file in one request; a part of one, as `curl -C` sends it, is none (RFC 9110 §14.5). */
async function receive(request: Request, path: string, visit: LinkVisit, staging: Staging): Promise<Response> {
  if (request.headers.has("Content-Range")) {
    throw new ToolError("invalid_input", "Send the file from its beginning; this link takes no rest of one.");
  }
  const length = request.headers.get("Content-Length");
  if (Number(length) > MAX_UPLOAD_BYTES) {
    throw new ToolError("too_large", `A file may have ${MAX_UPLOAD_BYTES} bytes; send it in several.`);
  }
  const { body } = request;
  return await land(visit, path, async () => {
    if (body === null || length === "0") return await visit.files.write(path, "", { madeBy: { link: visit.link.id } });
    return await staging.receive(path, body, length === null ? undefined : Number(length));
  });
}

async function receivePart(
  request: Request,
  { upload }: StagedUpload,
  number: number | undefined,
  staging: Staging,
): Promise<Response> {
  const count = partCount(upload.sizeBytes);
  if (number === undefined || number > count) {
    throw new ToolError("invalid_input", `The upload has the parts 1 to ${count}; say which this is: part=1.`);
  }
  const length = number < count ? PART_BYTES : upload.sizeBytes - (count - 1) * PART_BYTES;
  if (request.body === null || Number(request.headers.get("Content-Length")) !== length) {
    throw new ToolError("invalid_input", `Part ${number} has ${length} bytes; send these and their Content-Length.`);
  }
  await staging.putPart(upload, number, request.body);
  return say(200, `Part ${number} of ${count} is there.`);
}

async function finish(begun: StagedUpload, visit: LinkVisit, staging: Staging): Promise<Response> {
  const there = new Set(begun.parts.map(({ number }) => number));
  const missing = Array.from({ length: partCount(begun.upload.sizeBytes) }, (_, index) => index + 1).filter(
    (number) => !there.has(number),
  );
  if (missing.length > 0) {
    throw new ToolError("conflict", `Send the parts that are missing first: ${missing.slice(0, 20).join(", ")}.`);
  }
  return await land(visit, begun.upload.path, async () => await staging.complete(begun));
}

/** Brings one file to its place, and leaves an entry in the books. */
async function land({ link, account, pipeline }: LinkVisit, path: string, write: () => Promise<FileInfo>) {
  const end = await callRecorded(
    { name: "files_share/upload", scopes: ["files:write"] },
    { path },
    pipeline,
    () => 0,
    write,
  );
  if (!end.ok) throw end.error;
  await account.countFile(link.id);
  const { path: kept, sizeBytes } = end.outcome;
  return say(201, `Saved ${kept.slice(kept.lastIndexOf("/") + 1)}, ${sizeBytes} bytes.`);
}

/** The numbers of the parts that are there, one a line. */
function listParts({ parts }: StagedUpload): Response {
  return say(200, parts.map(({ number }) => number).join("\n"));
}

function partCount(sizeBytes: number): number {
  return Math.ceil(sizeBytes / PART_BYTES);
}

/** A browser names the page that sends, `null` where it hides it; curl names none. */
function isFromOurPage(request: Request): boolean {
  const origin = request.headers.get("Origin");
  if (origin === null) return true;
  return URL.canParse(origin) && new URL(origin).host === new URL(request.url).host;
}
