import { ToolError } from "../../servers/shared/errors.ts";

/** Of what a Unix file has beside its bytes, this is kept as metadata of the object; all else is the same for all. */
export type Attributes = Readonly<Partial<Record<"mode" | "mtime", string>>>;

export const FOLDER_TYPE = "application/x-directory";
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

/** What an object tells s3fs about itself. A folder without an object is as old as the first of what it holds. */
export function attributeHeaders(
  { uploaded, customMetadata, httpMetadata, httpEtag }: R2Object,
  isFolder: boolean,
): Headers {
  const given = Number.parseInt(customMetadata?.["mode"] ?? "", 8);
  const bits = Number.isNaN(given) ? (isFolder ? FOLDER_MODE : FILE_MODE) : given & 0o7777;
  return new Headers({
    "Content-Type": isFolder ? FOLDER_TYPE : (httpMetadata?.contentType ?? "application/octet-stream"),
    "Last-Modified": uploaded.toUTCString(),
    ETag: httpEtag,
    "x-amz-meta-mode": String((isFolder ? FOLDER : FILE) | bits),
    "x-amz-meta-mtime": customMetadata?.["mtime"] ?? String(Math.floor(uploaded.getTime() / 1_000)),
    "x-amz-meta-uid": "0",
    "x-amz-meta-gid": "0",
  });
}
