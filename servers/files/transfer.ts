import * as z from "zod";
import { type Answer, type ToolContext, defineTool } from "../core/tool.ts";
import { ToolError } from "../shared/errors.ts";
import { normalizeFolder, normalizePath } from "../shared/paths.ts";
import { MAX_BATCH, failureFields, tellFailures, workThrough } from "./batch.ts";
import type { FileInfo, PlaceOptions } from "./store.ts";
import { cursorAfter, take } from "./walk.ts";

/** Of the files that are left to do. */
const MAX_COUNTED = 1_000;

const input = z.strictObject({
  from: z.string().min(1).max(1_000).describe("File, or folder/"),
  to: z.string().min(1).max(1_000).describe("New path"),
  replace: z.boolean().optional().describe("Existing files"),
  cursor: z.string().max(8_000).optional().describe("From the last call"),
});

const output = z.object({
  done: z.number(),
  ...failureFields,
  left_at_least: z.number().optional(),
  cursor: z.string().optional(),
});

type Placed = Answer<z.input<typeof output>>;
type Place = (from: string, to: string, options: PlaceOptions) => Promise<FileInfo>;

export const filesMove = defineTool({
  name: "files_move",
  title: "Move files",
  description: "Moves or renames files; for more, call again with cursor.",
  input,
  output,
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: false },
  scopes: ["files:read", "files:write"],
  handler: async (given, context) => await placeAll(given, context, context.files.move),
});

export const filesCopy = defineTool({
  name: "files_copy",
  title: "Copy files",
  description: "As files_move; keeps the original.",
  input,
  output,
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: false },
  scopes: ["files:read", "files:write"],
  handler: async (given, context) => await placeAll(given, context, context.files.copy),
});

async function placeAll(given: z.output<typeof input>, context: ToolContext, place: Place): Promise<Placed> {
  const { from, to, replace: mayReplace = false, cursor } = given;
  const options = { replace: mayReplace };
  if (!from.endsWith("/")) {
    const path = normalizePath(from);
    const name = path.slice(path.lastIndexOf("/") + 1);
    const target = to.endsWith("/") ? normalizeFolder(to) + name : normalizePath(to);
    if (target === path) throw new ToolError("invalid_input", "from and to are the same; give another to.");
    await place(path, target, options);
    return { output: { done: 1 } };
  }
  const [source, target] = [normalizeFolder(from), normalizeFolder(to)];
  if (source === "" || target.startsWith(source)) {
    throw new ToolError("invalid_input", "A folder cannot go into itself; give a to outside of from.");
  }
  const walked = { folder: source, isDeep: true, ...(cursor === undefined ? {} : { cursor }) };
  const chosen = await take(context.files, walked, MAX_BATCH);
  if (chosen.entries.length > 0) {
    const batch = await workThrough(chosen.entries, context, async ({ path }) => {
      await place(path, target + path.slice(source.length), options);
    });
    const last = chosen.entries[batch.reached - 1];
    const isEnd = batch.reached === chosen.entries.length;
    const next = isEnd || last === undefined ? chosen.cursor : cursorAfter(last);
    return { output: { done: batch.done, ...tellFailures(batch), ...(await countLeft(context, source, next)) } };
  }
  if (cursor !== undefined) return { output: { done: 0 } };
  throw new ToolError("not_found", `There is no folder ${source}; files_list shows what there is.`);
}

async function countLeft({ files }: ToolContext, folder: string, cursor?: string): Promise<Partial<Placed["output"]>> {
  if (cursor === undefined) return {};
  const { entries } = await take(files, { folder, isDeep: true, cursor }, MAX_COUNTED);
  return entries.length === 0 ? {} : { left_at_least: entries.length, cursor };
}
