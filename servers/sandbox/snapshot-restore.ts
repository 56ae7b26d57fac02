import { ToolError } from "../shared/errors.ts";
import type { Snapshot } from "./snapshot-ledger.ts";
import type { Workspace } from "./workspace.ts";

export interface Progress {
  readonly doneBytes: number;
  readonly totalBytes: number;
}

interface Watch {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: Progress) => void;
}

const COPY_BYTES = 1024 * 1024;

/**
 * Fills a workspace from the newest of the snapshots that is whole, and says which that was; without any snapshot it
 * begins empty. Rejects where there are some and none of them is whole: what was lost is for a person to decide.
 */
export async function restoreNewest(
  bucket: R2Bucket,
  snapshots: readonly Snapshot[],
  workspace: Workspace,
  watch: Watch,
): Promise<{ readonly restored?: Snapshot; readonly fingerprint?: string }> {
  if (snapshots.length === 0) {
    await restoredOnce(workspace.restore(undefined, watch.signal));
    return {};
  }
  for (const snapshot of snapshots) {
    const object = await bucket.get(snapshot.key);
    if (object === null) continue;
    const counted = count(object, watch);
    const end = await restoredOnce(workspace.restore({ body: counted, sizeBytes: object.size }, watch.signal));
    if (end === undefined) return { restored: snapshot };
    if (end.state === "restored")
      return { restored: snapshot, ...(end.fingerprint !== undefined && { fingerprint: end.fingerprint }) };
  }
  throw new ToolError(
    "unavailable",
    "None of this sandbox's snapshots can be read, and nothing was deleted; sandbox_reset begins with an empty one.",
  );
}

/** Nothing where somebody else has restored it. */
async function restoredOnce<End>(restore: Promise<End>): Promise<End | undefined> {
  try {
    return await restore;
  } catch (error) {
    if (error instanceof ToolError && error.code === "conflict") return undefined;
    throw error;
  }
}

/** The same bytes, told as they pass. */
function count(object: R2ObjectBody, { signal, onProgress }: Watch): ReadableStream<Uint8Array> {
  const { readable, writable } = new FixedLengthStream(object.size);
  const copy = async (): Promise<void> => {
    const reader = object.body.getReader({ mode: "byob" });
    const writer = writable.getWriter();
    try {
      for (let doneBytes = 0; ;) {
        onProgress({ doneBytes, totalBytes: object.size });
        const { value, done } = await reader.readAtLeast(COPY_BYTES, new Uint8Array(COPY_BYTES));
        signal.throwIfAborted();
        if (value !== undefined && value.length > 0) await writer.write(value);
        doneBytes += value?.length ?? 0;
        if (done || value.length < COPY_BYTES) return await writer.close();
      }
    } catch (error) {
      await writer.abort(error).catch(() => undefined);
    } finally {
      await reader.cancel().catch(() => undefined);
    }
  };
  void copy();
  return readable;
}
