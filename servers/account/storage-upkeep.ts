import { filesPrefix, trashPrefix } from "../shared/paths.ts";
import type { Chore } from "./chores.ts";
import type { StorageLedger } from "./storage-ledger.ts";
import { readTrashNote } from "./trash-note.ts";
import type { TrashRow } from "./trash-table.ts";

/** What an account does by itself so that its ledger is right, its trash ends, and old artifacts go. */

const DAY_MS = 24 * 60 * 60_000;
const TRASH_KEEP_MS = 30 * DAY_MS;
/** A count holds only where nothing changed meanwhile: where something did, it begins again after this. */
const RECOUNT_AFTER_MS = 30_000;
/** What R2 lists and deletes in one call. */
const PAGE = 1_000;
const CHANGES_A_RUN = 100;
const ARTIFACT_PAGES_A_RUN = 20;

export interface Removed {
  readonly versions: number;
  readonly freedBytes: number;
}

interface Storage {
  readonly ledger: StorageLedger;
  readonly bucket: R2Bucket;
}

export function storageChores(
  { ledger, bucket }: Storage,
  settings: () => { readonly ARTIFACTS_KEEP_DAYS?: number | undefined },
): readonly Chore[] {
  return [
    {
      name: "end changes that nobody finished",
      dueAtMs: () => ledger.nextEndOfChangeMs(),
      run: async (nowMs) => await endChanges({ ledger, bucket }, nowMs),
    },
    {
      name: "count files and trash",
      dueAtMs: () => ledger.recountDueMs(),
      run: async (nowMs) => {
        const isCounted = await recount({ ledger, bucket });
        if (!isCounted) ledger.postponeRecount(nowMs + RECOUNT_AFTER_MS);
      },
    },
    {
      name: "end the trash",
      dueAtMs: () => later(ledger.trash.oldestMs(), TRASH_KEEP_MS),
      run: async (nowMs) => void (await removeTrash({ ledger, bucket }, nowMs - TRASH_KEEP_MS)),
    },
    {
      name: "end old artifacts",
      dueAtMs: () =>
        settings().ARTIFACTS_KEEP_DAYS === undefined ? undefined : later(ledger.artifactsCheckedMs(), DAY_MS),
      run: async (nowMs) => {
        const { ARTIFACTS_KEEP_DAYS: days = Infinity } = settings();
        const isDone = await removeArtifacts({ ledger, bucket }, new Date(nowMs - days * DAY_MS));
        if (isDone) ledger.setArtifactsChecked(nowMs);
      },
    },
  ];
}

/** Removes for good up to a page of what was in the trash at that time; how many versions and bytes that were. */
export async function removeTrash({ ledger, bucket }: Storage, untilMs: number): Promise<Removed> {
  return await removeVersions({ ledger, bucket }, ledger.trash.since(untilMs, PAGE));
}

export async function removeVersions({ ledger, bucket }: Storage, rows: readonly TrashRow[]): Promise<Removed> {
  const ids = rows.map(({ id }) => id);
  // The bytes first: a row without bytes is deleted again, bytes without a row would stay.
  if (ids.length > 0) await bucket.delete(ids.map((id) => trashPrefix(userIdOf(ledger)) + id));
  return { versions: ids.length, freedBytes: ledger.dropTrash(ids) };
}

/**
 * Whoever began these changes ended in the middle. Nothing is taken back but a version in the trash that is still the
 * file as well, and that only where the change was given up: another may only be slow, and about to replace it.
 */
async function endChanges({ ledger, bucket }: Storage, nowMs: number): Promise<void> {
  const [files, trash] = [filesPrefix(userIdOf(ledger)), trashPrefix(userIdOf(ledger))];
  for (const { id, path, isGivenUp } of ledger.endedChanges(nowMs, CHANGES_A_RUN)) {
    if (isGivenUp) {
      const version = await bucket.head(trash + id);
      const isStillFile =
        version !== null &&
        readTrashNote(version.customMetadata ?? {})?.etag === (await bucket.head(files + path))?.etag;
      if (isStillFile) await bucket.delete(trash + id);
    }
    ledger.dropChange(id, nowMs);
  }
}

/** Makes the ledger what R2 holds. Whether it came to its end: it gives way to any change. */
async function recount({ ledger, bucket }: Storage): Promise<boolean> {
  const moment = ledger.quietMoment();
  if (moment === undefined) return false;
  const userId = userIdOf(ledger);
  let filesBytes = 0;
  for await (const page of pagesOf(bucket, { prefix: filesPrefix(userId) })) {
    if (!ledger.isQuietSince(moment)) return false;
    filesBytes += sizeOf(page.objects);
  }
  const prefix = trashPrefix(userId);
  let after = "";
  for await (const page of pagesOf(bucket, { prefix, include: ["customMetadata"] })) {
    if (!ledger.isQuietSince(moment)) return false;
    const last = page.truncated ? page.objects.at(-1)?.key.slice(prefix.length) : undefined;
    const rows = page.objects.flatMap((object) => rowOf(object, prefix) ?? []);
    ledger.trash.match(rows, after, last);
    after = last ?? after;
  }
  if (!ledger.isQuietSince(moment)) return false;
  ledger.settle(filesBytes);
  return true;
}

function rowOf(object: R2Object, prefix: string): TrashRow | undefined {
  const note = readTrashNote(object.customMetadata ?? {});
  if (note === undefined) return undefined;
  const { path, reason } = note;
  return { id: object.key.slice(prefix.length), path, reason, sizeBytes: object.size, atMs: object.uploaded.getTime() };
}

/** Whether all folders of days before that one are gone. What people put beside those folders stays. */
async function removeArtifacts({ ledger, bucket }: Storage, before: Date): Promise<boolean> {
  const prefix = `${filesPrefix(userIdOf(ledger))}artifacts/`;
  const firstKept = prefix + before.toISOString().slice(0, 10);
  let [pages, hasRemoved] = [0, false];
  for await (const page of pagesOf(bucket, { prefix })) {
    const moment = ledger.quietMoment();
    const old = page.objects.filter(
      ({ key }) => key < firstKept && /^\d{4}-\d\d-\d\d\//.test(key.slice(prefix.length)),
    );
    if (old.length > 0) {
      hasRemoved = true;
      await bucket.delete(old.map(({ key }) => key));
    }
    const isUndisturbed = moment !== undefined && ledger.isQuietSince(moment);
    ledger.dropFiles(sizeOf(old));
    // Somebody else may have deleted one of them meanwhile.
    if (!isUndisturbed && old.length > 0) ledger.recountAt(Date.now());
    if (page.objects.some(({ key }) => key >= firstKept)) return true;
    pages += 1;
    // What is not to go is looked at once a day, however much it is.
    if (pages >= ARTIFACT_PAGES_A_RUN) return !hasRemoved;
  }
  return true;
}

/** Page by page, as long as they are asked for; there is at least one, be it empty. */
async function* pagesOf(bucket: R2Bucket, options: R2ListOptions): AsyncGenerator<R2Objects> {
  let page = await bucket.list({ ...options, limit: PAGE });
  yield page;
  while (page.truncated) {
    page = await bucket.list({ ...options, limit: PAGE, cursor: page.cursor });
    yield page;
  }
}

function sizeOf(objects: readonly R2Object[]): number {
  return objects.reduce((sum, { size }) => sum + size, 0);
}

/** A ledger that has anything to do knows whose it is. */
function userIdOf(ledger: StorageLedger): string {
  const userId = ledger.userId();
  if (userId === undefined) throw new Error("The ledger was not opened.");
  return userId;
}

function later(atMs: number | undefined, byMs: number): number | undefined {
  return atMs === undefined ? undefined : atMs + byMs;
}
