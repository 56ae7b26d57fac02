import { ToolError } from "../shared/errors.ts";
import type { FileInfo, FileStore } from "./store.ts";

/** Files as MCP resources: `files:///reports/summary.html`. */
export const FILES_URI_TEMPLATE = "files:///{+path}";

const MAX_RESOURCE_BYTES = 8 * 1024 * 1024;
const PAGE_SIZE = 100;

export function fileUri(path: string): string {
  return `files:///${path.split("/").map(encodeURIComponent).join("/")}`;
}

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
      throw new ToolError("too_large", `${file.path} has ${file.sizeBytes} bytes; use files_share for a link to it.`);
    }
    const bytes = new Uint8Array(await new Response(file.body).arrayBuffer());
    const head = { uri, mimeType: file.mimeType };
    return bytes.includes(0) || !isText(file.mimeType)
      ? { ...head, blob: bytes.toBase64() }
      : { ...head, text: new TextDecoder().decode(bytes) };
  } catch (failure) {
    if (failure instanceof ToolError && (failure.code === "not_found" || failure.code === "invalid_input"))
      return undefined;
    throw failure;
  }
}

function pathOf(uri: string): string | undefined {
  const match = /^files:\/\/\/(.+)$/.exec(uri);
  try {
    return match?.[1] === undefined ? undefined : decodeURIComponent(match[1]);
  } catch {
    return undefined;
  }
}

function isText(mimeType: string): boolean {
  return /^(text\/|application\/(json|xml|javascript|yaml|sql)|image\/svg)/.test(mimeType);
}
