import { type ErrorCode, ToolError } from "../../servers/shared/errors.ts";
import { type Mounted, head, list, read } from "./reads.ts";
import { abortUpload, beginUpload, completeUpload, copyPart, uploadPart } from "./uploads.ts";
import { copy, copySource, remove, write } from "./writes.ts";

/** What s3fs makes of a refusal: an error of the file system. Only 503 does it try again, after a while. */
const STATUS: Readonly<Partial<Record<ErrorCode, number>>> = {
  invalid_input: 400,
  forbidden: 403,
  not_found: 404,
  conflict: 409,
  too_large: 413,
  unavailable: 503,
  limit_reached: 507,
};

/** Answers one S3 request of the s3fs that shows a person's files in a sandbox; `told` hears what was refused, and why. */
export async function answerMount(
  request: Request,
  mounted: Mounted,
  told: (path: string, refusal: ToolError) => Promise<void>,
): Promise<Response> {
  const { pathname, searchParams } = new URL(request.url);
  const path = pathOf(pathname);
  if (path === undefined) return new Response(null, { status: 400 });
  const isRead = request.method === "GET" || request.method === "HEAD";
  try {
    return await (isRead
      ? answerRead(request, mounted, path, searchParams)
      : change(request, mounted, path, searchParams));
  } catch (error) {
    const refusal = error instanceof ToolError ? error : unanswered(error);
    // A name that cannot be is not there.
    if (isRead && refusal.code === "invalid_input") return new Response(null, { status: 404 });
    if (refusal.code !== "not_found") await told(path, refusal);
    return new Response(null, { status: STATUS[refusal.code] ?? 500 });
  }
}

function unanswered(cause: unknown): ToolError {
  return new ToolError("unavailable", "The file store did not answer; look at what was kept, and try again.", {
    cause,
  });
}

/** What follows the bucket's name. */
function pathOf(pathname: string): string | undefined {
  try {
    return /^\/[^/]+(?:\/(.*))?$/.exec(decodeURIComponent(pathname))?.[1] ?? "";
  } catch {
    return undefined;
  }
}

async function answerRead(request: Request, mounted: Mounted, path: string, query: URLSearchParams): Promise<Response> {
  if (path === "") return await list(mounted, query);
  return request.method === "HEAD"
    ? await head(mounted, path)
    : await read(mounted, path, request.headers.get("Range"));
}

async function change(request: Request, mounted: Mounted, path: string, query: URLSearchParams): Promise<Response> {
  const { method, headers } = request;
  const uploadId = query.get("uploadId");
  const source = headers.get("x-amz-copy-source");
  if (method === "POST" && query.has("uploads")) return await beginUpload(mounted, path, headers);
  if (method === "POST" && uploadId !== null) return await completeUpload(mounted, path, uploadId, request);
  if (method === "DELETE") {
    return uploadId === null ? await remove(mounted, path) : await abortUpload(mounted, uploadId);
  }
  if (method !== "PUT") return new Response(null, { status: 405 });
  if (uploadId === null) {
    return source === null
      ? await write(mounted, path, request)
      : await copy(mounted, copySource(source), path, headers);
  }
  return source === null
    ? await uploadPart(mounted, uploadId, query.get("partNumber"), request)
    : await copyPart(mounted, source, headers.get("x-amz-copy-source-range"));
}
