import { ToolError } from "../shared/errors.ts";
import { normalizePath } from "../shared/paths.ts";
import { contentOf, hold, infoOf, reach } from "./bucket.ts";
import { NOTHING_DONE, type Workplace, change } from "./changes.ts";
import { type Placed, place } from "./place.ts";
import { deleteUnchanged } from "./remove.ts";
import type { FileInfo, PlaceOptions } from "./store.ts";

export async function copyFile(
  workplace: Workplace,
  from: string,
  to: string,
  options: PlaceOptions = {},
): Promise<FileInfo> {
  const { source, target } = await lookAt(workplace, from, to);
  const intent = { path: target, growsBytes: source.size, writes: true };
  const placed = await withVersion(source, () =>
    change(workplace, intent, async (id) => {
      const placed = await placeVersion(workplace, id, source, target, options);
      return { value: placed, outcome: placed?.outcome ?? NOTHING_DONE };
    }),
  );
  return infoOf(assertPlaced(placed, target).object, workplace.files);
}

interface Moved {
  readonly placed: Placed | undefined;
  /** What became of the original. */
  readonly left: "deleted" | "changed" | "busy";
}

export async function moveFile(
  workplace: Workplace,
  from: string,
  to: string,
  options: PlaceOptions = {},
): Promise<FileInfo> {
  const { source, target } = await lookAt(workplace, from, to);
  const origin = normalizePath(from);
  // What is moved takes no more room in the end: a person whose quota is used up can tidy up.
  const intent = { path: target, growsBytes: 0, writes: true };
  const { placed, left } = await withVersion(source, () =>
    change<Moved>(workplace, intent, async (id) => {
      const placed = await placeVersion(workplace, id, source, target, options);
      if (placed === undefined) return { value: { placed, left: "changed" }, outcome: NOTHING_DONE };
      const moved = { ...placed.outcome, filesBytes: placed.outcome.filesBytes - source.size };
      const left = await deleteUnchanged(workplace, id, { path: origin, etag: source.etag }, moved);
      return { value: { placed, left }, ...(left !== "deleted" && { outcome: placed.outcome }) };
    }),
  );
  const { object } = assertPlaced(placed, target);
  if (left === "deleted") return infoOf(object, workplace.files);
  throw new ToolError(
    "conflict",
    left === "busy"
      ? `${origin} may be being written, so it stays, and ${target} is a copy of it: in a minute delete one of them.`
      : `Somebody else changed, moved or deleted ${origin} meanwhile; what it was is at ${target}: look at both before you go on.`,
  );
}

/** Puts a version that is in the bucket to a place of files, with all that is known of it. */
export async function placeVersion(
  workplace: Workplace,
  id: string,
  version: R2ObjectBody,
  path: string,
  { replace = false }: PlaceOptions,
  customMetadata: Record<string, string> = version.customMetadata ?? {},
): Promise<Placed | undefined> {
  const content = await hold(contentOf(version));
  const metadata = { httpMetadata: version.httpMetadata ?? {}, customMetadata };
  return await place(workplace, id, { path, content, metadata, createOnly: !replace });
}

/** Runs work on a version, and lets go of its bytes where nobody has read them. */
export async function withVersion<T>(version: R2ObjectBody, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } finally {
    if (!version.bodyUsed) await version.body.cancel();
  }
}

export function assertPlaced(placed: Placed | undefined, path: string): Placed {
  if (placed !== undefined) return placed;
  throw new ToolError("conflict", `${path} exists already; choose another path, or set replace.`);
}

async function lookAt(
  workplace: Workplace,
  from: string,
  to: string,
): Promise<{ source: R2ObjectBody; target: string }> {
  const [origin, target] = [normalizePath(from), normalizePath(to)];
  if (origin === target) {
    throw new ToolError("invalid_input", `${origin} is at that place already; give another path.`);
  }
  await assertPlace(workplace, target);
  const source = await reach(() => workplace.bucket.get(workplace.files + origin));
  if (source !== null) return { source, target };
  throw new ToolError("not_found", `There is no file ${origin}; files_list shows what there is.`);
}

/** A file below a file, or one with the name of a folder, could not be in a sandbox. */
export async function assertPlace({ bucket, files }: Workplace, path: string): Promise<void> {
  const names = path.split("/");
  const parents = names.slice(1).map((_, index) => names.slice(0, index + 1).join("/"));
  const [below, ...heads] = await reach(() =>
    Promise.all([
      bucket.list({ prefix: `${files}${path}/`, limit: 1 }),
      ...parents.map(async (parent) => await bucket.head(files + parent)),
    ]),
  );
  if (below.objects.length > 0) {
    throw new ToolError("invalid_input", `${path} is a folder; name the file in it, such as ${path}/${names.at(-1)}.`);
  }
  const file = heads.find((head) => head !== null);
  if (file !== undefined) {
    const parent = file.key.slice(files.length);
    throw new ToolError("invalid_input", `${parent} is a file, so nothing can be below it; choose another folder.`);
  }
}
