import type { Caller } from "../../auth/caller.ts";
import type { FileStore } from "../files/store.ts";
import { ToolError } from "../shared/errors.ts";
import { pathOf } from "../shared/file-uri.ts";

/** What a caller puts beside a task, told apart: texts, and paths of files that are there. Rejects with `not_found`. */
export async function sortMaterial(
  material: readonly string[],
  files: Pick<FileStore, "stat">,
  { scopes }: Caller,
): Promise<{ readonly texts: readonly string[]; readonly files: readonly string[] }> {
  const paths = material.flatMap((entry) => pathOf(entry) ?? []);
  if (paths.length > 0 && !scopes.includes("files:read")) {
    throw new ToolError("forbidden", "material: a file needs the scope files:read; give its text instead.");
  }
  await Promise.all(paths.map(async (path) => await files.stat(path)));
  return { texts: material.filter((entry) => pathOf(entry) === undefined), files: paths };
}
