import * as z from "zod";
import type { ToolContext } from "../core/tool.ts";
import { ToolError, errorText } from "../shared/errors.ts";
import type { FileStore } from "./store.ts";

/** Files of a folder that one call deals with. */
export const MAX_BATCH = 100;
/** Or so long, well before the call would be given up. */
const MAX_BATCH_MS = 30_000;
const MAX_TOLD_FAILURES = 20;
/** Workers keep six connections open at a time. */
export const AT_A_TIME = 6;

export interface Batch {
  readonly done: number;
  /** How many were come to, in order, before the call had to end. */
  readonly reached: number;
  readonly failures: readonly { readonly path: string; readonly error: string }[];
}

/** What a tool tells of the files that failed. */
export const failureFields = {
  failed: z.number().optional(),
  failures: z.array(z.object({ path: z.string(), error: z.string() })).optional(),
};

export function tellFailures({ failures }: Batch): z.input<z.ZodObject<typeof failureFields>> {
  if (failures.length === 0) return {};
  return { failed: failures.length, failures: failures.slice(0, MAX_TOLD_FAILURES) };
}

/** Works on one file after the other. One that fails is told of, and holds up none of the others. */
export async function workThrough<Item extends { readonly path: string }>(
  items: readonly Item[],
  { signal, reportProgress }: Pick<ToolContext, "signal" | "reportProgress">,
  work: (item: Item) => Promise<void>,
): Promise<Batch> {
  const failures: { path: string; error: string }[] = [];
  const endsAtMs = Date.now() + MAX_BATCH_MS;
  let reached = 0;
  while (reached < items.length && !signal.aborted && (reached === 0 || Date.now() < endsAtMs)) {
    const some = items.slice(reached, reached + AT_A_TIME);
    await Promise.all(
      some.map(async (item) => {
        try {
          await work(item);
        } catch (failure) {
          if (!(failure instanceof ToolError)) throw failure;
          failures.push({ path: item.path, error: errorText(failure) });
        }
      }),
    );
    reached += some.length;
    reportProgress(`${reached} of ${items.length} files`);
  }
  return { done: reached - failures.length, reached, failures };
}

/** The content of a file that was listed a moment ago; `undefined` where it is gone since. */
export async function readListed(files: FileStore, path: string): Promise<Uint8Array | undefined> {
  try {
    return await new Response((await files.read(path)).body).bytes();
  } catch (failure) {
    if (failure instanceof ToolError && failure.code === "not_found") return undefined;
    throw failure;
  }
}
