import * as z from "zod";
import { defineTool } from "../core/tool.ts";
import type { FileInfo, FileStore } from "./store.ts";
import { take } from "./walk.ts";

const DEFAULT_LIMIT = 200;
const MAX_LIMIT = 1_000;

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
  handler: async ({ folder = "", glob, trash: isTrash = false, cursor, ...given }, { files }) => {
    const limit = Math.min(given.limit ?? DEFAULT_LIMIT, MAX_LIMIT);
    if (isTrash) return { output: { trash: await listTrash(files, folder, limit) } };
    const walked = {
      folder,
      ...(glob === undefined ? {} : { glob }),
      ...(cursor === undefined ? {} : { cursor }),
    };
    const page = await take(files, walked, limit);
    return {
      output: {
        folders: page.entries.flatMap(({ path, file }) => (file === undefined ? [path] : [])),
        files: page.entries.flatMap(({ file }) => (file === undefined ? [] : [describeFile(file)])),
        ...(page.cursor === undefined ? {} : { cursor: page.cursor }),
      },
    };
  },
});

async function listTrash(files: FileStore, folder: string, limit: number): Promise<z.input<typeof trashedOutput>[]> {
  const trashed = await files.listTrash({ limit, ...(folder === "" ? {} : { below: folder }) });
  return trashed.map(({ id, path, sizeBytes, reason, trashedAt }) => ({
    ...{ id, path, reason, size_bytes: sizeBytes, trashed_at: trashedAt.toISOString() },
  }));
}

function describeFile({ path, sizeBytes, mimeType, modifiedAt }: FileInfo): z.input<typeof fileOutput> {
  return { path, size_bytes: sizeBytes, mime_type: mimeType, modified_at: modifiedAt.toISOString() };
}
