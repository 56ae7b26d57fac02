import type { ChangeOutcome } from "../account/storage-ledger.ts";
import { type TrashNote, withTrashNote } from "../account/trash-note.ts";
import { ToolError } from "../shared/errors.ts";
import { beginsWith, mayBeStep, watchBeginning } from "./beginning.ts";
import { contentOf, put } from "./bucket.ts";
import type { Workplace } from "./changes.ts";
import type { SizedStream } from "./store.ts";

/** How often a write begins again because somebody else wrote meanwhile. Each time, one of them got through. */
const MAX_ROUNDS = 20;
/** Above this a file that is there is looked for first, for what R2 refuses has been sent for nothing. */
const MAX_BLIND_BYTES = 256 * 1024;

export interface Placement {
  readonly path: string;
  readonly content: Uint8Array | SizedStream;
  readonly metadata: Pick<R2PutOptions, "httpMetadata" | "customMetadata">;
  readonly ifMatch?: string;
  readonly createOnly?: boolean;
  readonly inSteps?: boolean;
}

export interface Placed {
  readonly object: R2Object;
  readonly outcome: ChangeOutcome;
}

/**
 * Puts a file to its place, and what was there into the trash first, under `id`. Each put holds only for what was
 * looked at, so that every version that was ever replaced is in the trash. `undefined` where the file is not as it was
 * expected; then nothing has changed.
 */
export async function place(workplace: Workplace, id: string, placement: Placement): Promise<Placed | undefined> {
  const { bucket, files, trash } = workplace;
  const { path, content, ifMatch, createOnly = false } = placement;
  const key = files + path;
  const isHeld = content instanceof Uint8Array;
  const made = placement.metadata.customMetadata;
  const write = async (what: typeof content, onlyIf: R2Conditional): Promise<R2Object | null> =>
    await put(bucket, key, what, { ...placement.metadata, onlyIf });

  // Most writes are of new files: those cost one call.
  if (createOnly || (ifMatch === undefined && isHeld && content.length <= MAX_BLIND_BYTES)) {
    const created = await write(content, ABSENT);
    if (created !== null) return { object: created, outcome: { filesBytes: created.size } };
    if (createOnly) return undefined;
  }
  // A set, since what watches a stream puts there what it finds.
  const inTrash = new Set<string>();
  const keep = async (version: R2ObjectBody): Promise<void> => {
    await moveToTrash(workplace, id, version, { path, reason: "replaced", etag: version.etag });
    inTrash.add(id);
  };
  const leaveNoCopy = async (): Promise<void> => {
    if (inTrash.delete(id)) await bucket.delete(trash + id);
  };
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const old = await bucket.get(key);
    if (ifMatch !== undefined && old?.etag !== ifMatch) {
      await old?.body.cancel();
      await leaveNoCopy();
      return undefined;
    }
    const version = old === null || old.size === 0 || (await isHeldIn(old, placement)) ? undefined : old;
    let written = content;
    if (version === undefined) await leaveNoCopy();
    else if (!isHeld && placement.inSteps === true && mayBeStep(version, content.sizeBytes, made)) {
      await leaveNoCopy();
      written = watchBeginning(content, version, async () => await keep(version));
    } else await keep(version);
    const object = await write(written, old === null ? ABSENT : { etagMatches: old.etag });
    if (old?.bodyUsed === false) await old.body.cancel();
    if (object !== null) {
      const outcome = { filesBytes: object.size - (old?.size ?? 0) };
      if (!inTrash.has(id) || version === undefined) return { object, outcome };
      return { object, outcome: { ...outcome, trashed: { path, sizeBytes: version.size, reason: "replaced" } } };
    }
    // Whoever wrote meanwhile has put the same version into the trash. A stream cannot be read again.
    if (!isHeld) break;
  }
  await leaveNoCopy();
  throw new Crossed(path);
}

const ABSENT: R2Conditional = { etagDoesNotMatch: "*" };

/** Nothing has changed: others wrote at the same time. */
export class Crossed extends ToolError {
  constructor(path: string) {
    super("conflict", `${path} was changed by somebody else at the same moment; nothing was lost, try again.`);
  }
}

/** Copies a version to the trash under `id`, with what it was. */
export async function moveToTrash(
  { bucket, trash }: Workplace,
  id: string,
  version: R2ObjectBody,
  note: TrashNote,
): Promise<void> {
  const { httpMetadata = {}, customMetadata = {} } = version;
  await put(bucket, trash + id, contentOf(version), {
    httpMetadata,
    customMetadata: withTrashNote(customMetadata, note),
  });
}

/** What the new content holds already is not worth a place in the trash. */
async function isHeldIn(old: R2Object, { content, inSteps, metadata }: Placement): Promise<boolean> {
  if (!(content instanceof Uint8Array)) return false;
  const isStep = inSteps === true && mayBeStep(old, content.length, metadata.customMetadata);
  return (isStep || old.size === content.length) && (await beginsWith(content, old));
}
