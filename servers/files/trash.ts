import { withoutTrashNote } from "../account/trash-note.ts";
import type { TrashQuery } from "../account/trash-table.ts";
import { ToolError } from "../shared/errors.ts";
import { normalizePath } from "../shared/paths.ts";
import { infoOf, reach } from "./bucket.ts";
import { NOTHING_DONE, type Workplace, change } from "./changes.ts";
import { assertPlace, assertPlaced, placeVersion, withVersion } from "./move.ts";
import type { Placed } from "./place.ts";
import type { FileInfo, PlaceOptions, TrashedFile } from "./store.ts";

export async function listTrash(
  { account }: Workplace,
  { below = "", ...query }: TrashQuery,
): Promise<readonly TrashedFile[]> {
  const path = below.replace(/^\/+|\/+$/g, "");
  const within = path === "" ? {} : { below: normalizePath(path) };
  const rows = await reach(async () => await account.listTrash({ ...query, ...within }));
  return rows.map(({ atMs, ...version }) => ({ ...version, trashedAt: new Date(atMs) }));
}

export async function restoreFile(
  workplace: Workplace,
  what: { readonly id: string } | { readonly path: string },
  options: PlaceOptions = {},
): Promise<FileInfo> {
  const { account, bucket, files, trash } = workplace;
  const wanted = "id" in what ? what : { path: normalizePath(what.path) };
  const row = await reach(async () => await account.findTrash(wanted));
  if (row === undefined) throw notInTrash(what);
  const { id: restoredId, path } = row;
  await assertPlace(workplace, path);
  const version = await reach(() => bucket.get(trash + restoredId));
  if (version === null) {
    // Its bytes are gone, so its row goes too.
    await reach(async () => await account.emptyTrash(restoredId));
    throw notInTrash(what);
  }
  // What comes out of the trash takes no more room than it did there.
  const placed = await withVersion(version, () =>
    change<Placed | undefined>(workplace, { path, growsBytes: 0, writes: true }, async (id) => {
      const metadata = withoutTrashNote(version.customMetadata ?? {});
      const placed = await placeVersion(workplace, id, version, path, options, metadata);
      if (placed === undefined) return { value: placed, outcome: NOTHING_DONE };
      await bucket.delete(trash + restoredId);
      return { value: placed, outcome: { ...placed.outcome, restoredId } };
    }),
  );
  return infoOf(assertPlaced(placed, path).object, files);
}

export async function emptyTrash({ account }: Workplace, id?: string): Promise<{ readonly freedBytes: number }> {
  const { versions, freedBytes } = await reach(async () => await account.emptyTrash(id));
  if (id !== undefined && versions === 0) throw notInTrash({ id });
  return { freedBytes };
}

function notInTrash(what: { readonly id: string } | { readonly path: string }): ToolError {
  const name = "id" in what ? what.id : what.path;
  return new ToolError("not_found", `The trash holds no ${name}; look what is in it, versions are kept for 30 days.`);
}
