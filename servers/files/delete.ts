import * as z from "zod";
import { type Answer, type ToolContext, defineTool } from "../core/tool.ts";
import { ToolError } from "../shared/errors.ts";
import { normalizeFolder } from "../shared/paths.ts";
import { MAX_BATCH, failureFields, tellFailures, workThrough } from "./batch.ts";
import { take } from "./walk.ts";

const output = z.object({
  deleted: z.number().optional(),
  restored: z.array(z.string()).optional(),
  ...failureFields,
  freed_bytes: z.number().optional(),
  has_more: z.literal(true).optional(),
});

interface Wish {
  readonly path?: string | undefined;
  readonly trash_id?: string | undefined;
  readonly restore?: boolean | undefined;
  readonly forever?: boolean | undefined;
}

function isOneWish({ path, trash_id, restore = false, forever = false }: Wish): boolean {
  if (forever) return path === undefined && !restore;
  return restore ? (path === undefined) !== (trash_id === undefined) : path !== undefined && trash_id === undefined;
}

type Done = Answer<z.input<typeof output>>;

export const filesDelete = defineTool({
  name: "files_delete",
  title: "Delete files",
  description: "Moves files to the trash for 30 days, or back.",
  input: z
    .strictObject({
      path: z.string().min(1).max(1_000).optional().describe("File, or folder/"),
      trash_id: z.string().min(1).max(200).optional().describe("Version in the trash"),
      restore: z.boolean().optional().describe("Take it back"),
      forever: z.boolean().optional().describe("Erase trash_id, or all trash"),
    })
    .refine(isOneWish, "Give path to delete it, path or trash_id to restore it, trash_id or nothing to erase forever"),
  output,
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: false },
  scopes: ["files:write"],
  handler: async ({ path = "", trash_id: id, restore: isBack = false, forever: isForever = false }, context) => {
    const { files } = context;
    if (isForever) return { output: { freed_bytes: (await files.emptyTrash(id)).freedBytes } };
    if (isBack && path.endsWith("/")) return await restoreFolder(normalizeFolder(path), context);
    if (isBack) {
      // What is there now goes to the trash: restoring again takes that back.
      const info = await files.restore(id === undefined ? { path } : { id }, { replace: true });
      return { output: { restored: [info.path] } };
    }
    if (path.endsWith("/")) return await removeFolder(path, context);
    await files.remove((await files.stat(path)).path);
    return { output: { deleted: 1 } };
  },
});

async function removeFolder(path: string, context: ToolContext): Promise<Done> {
  const folder = normalizeFolder(path);
  if (folder === "") throw new ToolError("invalid_input", "That is the whole workspace; name a folder in it.");
  const { entries, cursor } = await take(context.files, { folder, isDeep: true }, MAX_BATCH);
  if (entries.length > 0) {
    const batch = await workThrough(entries, context, async (entry) => {
      await context.files.remove(entry.path);
    });
    // Where nothing could be deleted, calling again is of no use.
    const hasMore = batch.done > 0 && (batch.reached < entries.length || cursor !== undefined);
    return { output: { deleted: batch.done, ...tellFailures(batch), ...(hasMore ? { has_more: true } : {}) } };
  }
  throw new ToolError("not_found", `There is no folder ${folder}; files_list shows what there is.`);
}

/** What each file that was deleted in the folder was last, unless there is one by its name again. */
async function restoreFolder(folder: string, context: ToolContext): Promise<Done> {
  const { files } = context;
  const trashed = await files.listTrash({ below: folder, isLast: true, limit: MAX_BATCH + 1 });
  if (trashed.length === 0) {
    throw new ToolError("not_found", `Nothing of ${folder} is in the trash; files_list shows what is.`);
  }
  const restored: string[] = [];
  const batch = await workThrough(trashed.slice(0, MAX_BATCH), context, async ({ id }) => {
    restored.push((await files.restore({ id })).path);
  });
  // What cannot be restored stays in the trash: calling again is of use only where something could.
  const hasMore = batch.reached < trashed.length && restored.length > 0;
  return { output: { restored: restored.toSorted(), ...tellFailures(batch), ...(hasMore ? { has_more: true } : {}) } };
}
