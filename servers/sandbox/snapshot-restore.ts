import { ToolError } from "../shared/errors.ts";
import { getParts, MissingPart, type StoredParts } from "./snapshot-bucket.ts";
import type { Snapshot } from "./snapshot-ledger.ts";
import type { RestoreEnd, Workspace } from "./workspace.ts";

export interface Progress {
  readonly doneBytes: number;
  readonly totalBytes: number;
}

interface Watch {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: Progress) => void;
}

/**
 * Fills a workspace from the newest of the snapshots that is whole, and says which that was; without any snapshot it
 * begins as it is. Rejects where there are some and none of them is whole: what to do then is for a person to decide.
 */
export async function restoreNewest(
  bucket: R2Bucket,
  snapshots: readonly Snapshot[],
  workspace: Workspace,
  watch: Watch,
): Promise<{ readonly restored?: Snapshot; readonly fingerprint?: string }> {
  if (snapshots.length === 0) {
    await unlessRestored(workspace.restore(undefined, watch.signal));
    return {};
  }
  for (const restored of snapshots) {
    const end = await unlessRestored(restoreOne(bucket, restored, workspace, watch));
    if (end === undefined) return { restored };
    if (end.state === "restored")
      return { restored, ...(end.fingerprint !== undefined && { fingerprint: end.fingerprint }) };
  }
  throw new ToolError(
    "unavailable",
    "None of this sandbox's snapshots can be read, and nothing was deleted; sandbox_reset begins with an empty one.",
  );
}

/** Nothing where somebody else has restored it. */
async function unlessRestored<End>(restore: Promise<End>): Promise<End | undefined> {
  try {
    return await restore;
  } catch (error) {
    if (error instanceof ToolError && error.code === "conflict") return undefined;
    throw error;
  }
}

async function restoreOne(
  bucket: R2Bucket,
  stored: StoredParts,
  workspace: Workspace,
  { signal, onProgress }: Watch,
): Promise<RestoreEnd> {
  const { readable, writable } = new FixedLengthStream(stored.sizeBytes);
  let isIncomplete = false;
  const send = async (): Promise<void> => {
    let doneBytes = 0;
    try {
      for await (const { body, size } of getParts(bucket, stored)) {
        await body.pipeTo(writable, { preventClose: true, preventAbort: true, signal });
        onProgress({ doneBytes: (doneBytes += size), totalBytes: stored.sizeBytes });
      }
      await writable.close();
    } catch (error) {
      isIncomplete = error instanceof MissingPart;
      await writable.abort(error).catch(() => undefined);
    }
  };
  onProgress({ doneBytes: 0, totalBytes: stored.sizeBytes });
  void send();
  try {
    return await workspace.restore({ body: readable, sizeBytes: stored.sizeBytes }, signal);
  } catch (error) {
    if (isIncomplete) return { state: "damaged" };
    throw error;
  }
}
