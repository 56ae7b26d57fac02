import { ToolError } from "../../servers/shared/errors.ts";

/** Of what a Unix file has beside its bytes, this is kept as metadata of the object; all else is the same for all. */
export type Attributes = Readonly<Partial<Record<"mode" | "mtime", string>>>;

const TYPE = 0o170000;
const FILE = 0o100000;
const FOLDER = 0o040000;
const FILE_MODE = 0o644;
const FOLDER_MODE = 0o755;

/** What s3fs says of a file that it writes. Rejects with `forbidden` what is neither file nor folder. */
export function readAttributes(headers: Headers): Attributes {
  const mode = Number(headers.get("x-amz-meta-mode") ?? FILE);
  const type = mode & TYPE;
  if (type !== FILE && type !== FOLDER && type !== 0) {
    throw new ToolError("forbidden", "Only files and folders are kept there: put links, pipes and sockets elsewhere.");
  }
  const mtime = headers.get("x-amz-meta-mtime") ?? "";
  const bits = mode & 0o7777;
  return {
    ...(bits === 0 || bits === (type === FOLDER ? FOLDER_MODE : FILE_MODE) ? {} : { mode: bits.toString(8) }),
    ...(/^\d{1,11}(\.\d{1,9})?$/.test(mtime) ? { mtime } : {}),
  };
}

export function hasSameAttributes(object: R2Object, { mode, mtime }: Attributes): boolean {
  return (
    object.customMetadata?.["mode"] === mode && (mtime === undefined || object.customMetadata?.["mtime"] === mtime)
  );
}

/** What an object tells s3fs about itself, or a folder that is there only by what it holds. */
export function attributeHeaders(object: R2Object | undefined, isFolder: boolean): Headers {
  const given = Number.parseInt(object?.customMetadata?.["mode"] ?? "", 8);
  const bits = Number.isNaN(given) ? (isFolder ? FOLDER_MODE : FILE_MODE) : given & 0o7777;
  const uploadedSeconds = Math.floor((object?.uploaded.getTime() ?? 0) / 1_000);
  return new Headers({
    "Content-Type": isFolder
      ? "application/x-directory"
      : (object?.httpMetadata?.contentType ?? "application/octet-stream"),
    "x-amz-meta-mode": String((isFolder ? FOLDER : FILE) | bits),
    "x-amz-meta-mtime": object?.customMetadata?.["mtime"] ?? String(uploadedSeconds),
    "x-amz-meta-uid": "0",
    "x-amz-meta-gid": "0",
    ...(object === undefined ? {} : { "Last-Modified": object.uploaded.toUTCString(), ETag: object.httpEtag }),
  });
}
