import type { ChangeOutcome } from "../account/storage-ledger.ts";
import { normalizePath } from "../shared/paths.ts";
import { reach } from "./bucket.ts";
import { NOTHING_DONE, type Workplace, change } from "./changes.ts";
import { Crossed, moveToTrash } from "./place.ts";

const MAX_ROUNDS = 20;
const WAIT_FOR_WRITER_MS = 100;
const MAX_WAITS = 50;

export async function removeFile(
  workplace: Workplace,
  given: string,
  { ifMatch }: { readonly ifMatch?: string } = {},
): Promise<void> {
  const { bucket, files, trash } = workplace;
  const path = normalizePath(given);
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const version = await reach(() => bucket.get(files + path));
    if (version === null) return;
    const { etag, size: sizeBytes } = version;
    if (ifMatch !== undefined && etag !== ifMatch) {
      await version.body.cancel();
      return;
    }
    const answer = await change(workplace, { path, growsBytes: 0, writes: false }, async (id) => {
      // Of no bytes, none can be lost.
      if (sizeBytes > 0) await moveToTrash(workplace, id, version, { path, reason: "deleted", etag });
      else await version.body.cancel();
      const outcome: ChangeOutcome = {
        filesBytes: -sizeBytes,
        ...(sizeBytes > 0 && { trashed: { path, sizeBytes, reason: "deleted" } }),
      };
      const answer = await deleteUnchanged(workplace, id, { path, etag }, outcome);
      if (answer === "deleted") return { value: answer };
      await bucket.delete(trash + id);
      return { value: answer, outcome: NOTHING_DONE };
    });
    if (answer === "deleted") return;
    if (answer === "busy") break;
  }
  throw new Crossed(path);
}

/** Deletes a file that still has that etag, and finishes the change with it; waits a while for those who write it. */
export async function deleteUnchanged(
  { account }: Workplace,
  id: string,
  file: { readonly path: string; readonly etag: string },
  outcome: ChangeOutcome,
): Promise<"deleted" | "changed" | "busy"> {
  for (let waits = 0; waits < MAX_WAITS; waits += 1) {
    const answer = await account.deleteFile(id, file, outcome);
    if (answer !== "busy") return answer;
    await scheduler.wait(WAIT_FOR_WRITER_MS);
  }
  return "busy";
}
