import { ToolError } from "../shared/errors.ts";
import { fileUri, pathOf } from "../shared/file-uri.ts";
import { decodeText } from "../shared/text.ts";
import type { FileInfo, FileStore } from "./store.ts";

/** Files as MCP resources: `files:///reports/summary.html`. */
export const FILES_URI_TEMPLATE = "files:///{+path}";

const MAX_RESOURCE_BYTES = 8 * 1024 * 1024;
const PAGE_SIZE = 100;
/** MCP allows no more. */
const MAX_COMPLETIONS = 100;

export interface ResourceEntry {
  readonly uri: string;
  readonly name: string;
  readonly mimeType: string;
  readonly size: number;
}

export interface ResourcePage {
  readonly resources: readonly ResourceEntry[];
  readonly nextCursor?: string;
}

export type ResourceContent = { readonly uri: string; readonly mimeType: string } & (
  | { readonly text: string }
  | { readonly blob: string }
);

export async function listFileResources(files: FileStore, cursor?: string): Promise<ResourcePage> {
  const page = await files.list({
    folder: "",
    recursive: true,
    limit: PAGE_SIZE,
    ...(cursor === undefined ? {} : { cursor }),
  });
  return {
    resources: page.files.map(resourceEntry),
    ...(page.cursor === undefined ? {} : { nextCursor: page.cursor }),
  };
}

function resourceEntry(file: FileInfo): ResourceEntry {
  return { uri: fileUri(file.path), name: file.path, mimeType: file.mimeType, size: file.sizeBytes };
}

/** The file behind a `files:///` URI, or nothing where there is none. Rejects with `too_large` over 8 MB. */
export async function readFileResource(files: FileStore, uri: string): Promise<ResourceContent | undefined> {
  const path = pathOf(uri);
  if (path === undefined) return undefined;
  try {
    const file = await files.read(path);
    if (file.sizeBytes > MAX_RESOURCE_BYTES) {
      await file.body.cancel();
      throw new ToolError(
        "too_large",
        `${file.path} has ${file.sizeBytes} bytes; read parts of it with files_read, or share it with files_share.`,
      );
    }
    const bytes = new Uint8Array(await new Response(file.body).arrayBuffer());
    const head = { uri, mimeType: file.mimeType };
    const decoded = isText(file.mimeType) ? decodeText(bytes) : undefined;
    return decoded === undefined ? { ...head, blob: bytes.toBase64() } : { ...head, text: decoded.text };
  } catch (failure) {
    if (failure instanceof ToolError && (failure.code === "not_found" || failure.code === "invalid_input"))
      return undefined;
    throw failure;
  }
}

/** Files and folders whose path begins so, one level at a time; a path that nobody can have has none. */
export async function completePath(
  files: FileStore,
  begun: string,
): Promise<{ readonly values: readonly string[]; readonly hasMore: boolean }> {
  const path = begun.normalize("NFC").replace(/^\/+/, "");
  const end = path.lastIndexOf("/") + 1;
  try {
    const place = { folder: path.slice(0, end), namePrefix: path.slice(end), recursive: false };
    const page = await files.list({ ...place, limit: MAX_COMPLETIONS });
    const values = [...page.folders, ...page.files.map((file) => file.path)].toSorted();
    return { values, hasMore: page.cursor !== undefined };
  } catch (failure) {
    if (failure instanceof ToolError && failure.code === "invalid_input") return { values: [], hasMore: false };
    throw failure;
  }
}

function isText(mimeType: string): boolean {
  return /^(text\/|application\/(json|xml|javascript|yaml|sql)|image\/svg)/.test(mimeType);
}
