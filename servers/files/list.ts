import * as z from "zod";
import { defineTool } from "../core/tool.ts";
import type { FileInfo, FileStore } from "./store.ts";
import { type Entry, MAX_PAGE, type WalkOptions, walk } from "./walk.ts";

const DEFAULT_LIMIT = 200;
/** Names that one call with a glob looks at. */
const MAX_NAMES = 10_000;

const fileOutput = z.object({
  path: z.string(),
  size_bytes: z.number(),
  mime_type: z.string(),
  modified_at: z.string(),
});

const trashedOutput = z.object({
  id: z.string(),
  path: z.string(),
  size_bytes: z.number(),
  reason: z.enum(["deleted", "replaced"]),
  trashed_at: z.string(),
});

export const filesList = defineTool({
  name: "files_list",
  title: "List files",
  description: "Lists a folder of your durable workspace.",
  input: z.strictObject({
    folder: z.string().max(900).optional().describe("Folder"),
    glob: z.string().min(1).max(300).optional().describe("Such as **/*.csv"),
    trash: z.boolean().optional().describe("Its trash instead"),
    cursor: z.string().max(8_000).optional().describe("From the last call"),
    limit: z.int().min(1).optional().describe("Page size"),
  }),
  output: z.object({
    folders: z.array(z.string()).optional(),
    files: z.array(fileOutput).optional(),
    trash: z.array(trashedOutput).optional(),
    cursor: z.string().optional(),
  }),
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  scopes: ["files:read"],
  handler: async ({ folder = "", glob, trash: isTrash = false, cursor, ...given }, { files, signal }) => {
    const limit = Math.min(given.limit ?? DEFAULT_LIMIT, MAX_PAGE);
    if (isTrash) return { output: { trash: await listTrash(files, folder, limit) } };
    const from = cursor === undefined ? {} : { cursor };
    const walked =
      glob === undefined ? { folder, pageSize: limit, ...from } : { folder, glob, pageSize: MAX_PAGE, ...from };
    const page = await findEntries(files, walked, limit, signal);
    return {
      output: {
        folders: page.entries.flatMap(({ path, file }) => (file === undefined ? [path] : [])),
        files: page.entries.flatMap(({ file }) => (file === undefined ? [] : [describeFile(file)])),
        ...(page.cursor === undefined ? {} : { cursor: page.cursor }),
      },
    };
  },
});

/** Up to `limit` entries, of as many names as one call looks at. */
async function findEntries(
  files: FileStore,
  walked: WalkOptions,
  limit: number,
  signal: AbortSignal,
): Promise<{ readonly entries: readonly Entry[]; readonly cursor?: string }> {
  const found: Entry[] = [];
  let seen = 0;
  for await (const { entries, listed, cursorAfter, cursor } of walk(files, walked)) {
    const taken = entries.slice(0, limit - found.length);
    found.push(...taken);
    seen += listed;
    const last = taken.at(-1);
    if (taken.length < entries.length && last !== undefined) return { entries: found, cursor: cursorAfter(last.path) };
    if (cursor === undefined) break;
    if (found.length >= limit || seen >= MAX_NAMES || signal.aborted) return { entries: found, cursor };
  }
  return { entries: found };
}

async function listTrash(files: FileStore, folder: string, limit: number): Promise<z.input<typeof trashedOutput>[]> {
  const trashed = await files.listTrash({ limit, ...(folder === "" ? {} : { below: folder }) });
  return trashed.map(({ id, path, sizeBytes, reason, trashedAt }) => ({
    ...{ id, path, reason, size_bytes: sizeBytes, trashed_at: trashedAt.toISOString() },
  }));
}

function describeFile({ path, sizeBytes, mimeType, modifiedAt }: FileInfo): z.input<typeof fileOutput> {
  return { path, size_bytes: sizeBytes, mime_type: mimeType, modified_at: modifiedAt.toISOString() };
}
