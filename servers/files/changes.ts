import type { FileChange } from "../account/change-table.ts";
import type { StorageState } from "../account/storage-keeper.ts";
import type { ChangeOutcome, EndedChange } from "../account/storage-ledger.ts";
import type { TrashQuery, TrashRow } from "../account/trash-table.ts";
import { ToolError } from "../shared/errors.ts";
import { LimitReached } from "../shared/limits.ts";
import { reach } from "./bucket.ts";

/** What a store needs of its caller's account. */
export interface FilesAccount {
  /** `ended`: what earlier changes came to. */
  beginChange(
    change: FileChange,
    ended?: readonly EndedChange[],
  ): Promise<StorageState & { readonly isAdmitted: boolean }>;
  finishChange(id: string, outcome: ChangeOutcome): Promise<void>;
  giveUpChange(id: string): Promise<void>;
  deleteFile(
    id: string,
    file: { readonly path: string; readonly etag: string },
    outcome: ChangeOutcome,
  ): Promise<"deleted" | "changed" | "busy">;
  storageState(userId: string): Promise<StorageState>;
  listTrash(query: TrashQuery): Promise<readonly TrashRow[]>;
  findTrash(what: { readonly id: string } | { readonly path: string }): Promise<TrashRow | undefined>;
  emptyTrash(id?: string): Promise<{ readonly versions: number; readonly freedBytes: number }>;
}

/** Where one caller's files are, and who keeps count of them. */
export interface Workplace {
  readonly bucket: R2Bucket;
  readonly userId: string;
  readonly files: string;
  readonly trash: string;
  readonly account: FilesAccount;
  readonly waitUntil: (work: Promise<unknown>) => void;
}

/** How a change ended: what it has done, unless the account has been told already. */
interface ChangeEnd<T> {
  readonly value: T;
  readonly outcome?: ChangeOutcome;
}

export const NOTHING_DONE: ChangeOutcome = { filesBytes: 0 };

/** So long a change that has ended waits for the same person's next one, to be told with it. */
const TOLD_AFTER_MS = 20;
/** What is still to be told, by person. Whoever dies with it leaves changes that nobody finished. */
const untold = new Map<string, EndedChange[]>();

/**
 * Makes one change between two entries in the account's ledger. Whoever dies in between leaves the first, and the
 * account finds out by itself what came of it. Where `work` rejects with a `ToolError`, it has changed nothing.
 */
export async function change<T>(
  { account, userId, waitUntil }: Workplace,
  intent: Omit<FileChange, "id" | "userId">,
  work: (id: string) => Promise<ChangeEnd<T>>,
): Promise<T> {
  const id = crypto.randomUUID();
  const state = await reach(async () => await account.beginChange({ ...intent, id, userId }, takeUntold(userId)));
  if (!state.isAdmitted) throw noRoom(intent, state);
  try {
    const { value, outcome } = await reach(async () => await work(id));
    if (outcome !== undefined) await finish(id, outcome);
    return value;
  } catch (failure) {
    // Beside an answer that did not come, a refusal of ours leaves everything as it was.
    if (failure instanceof ToolError && failure.code !== "unavailable") await finish(id, NOTHING_DONE);
    else waitUntil(account.giveUpChange(id).catch(() => undefined));
    throw failure;
  }

  async function finish(id: string, outcome: ChangeOutcome): Promise<void> {
    // What is in the trash is to be found there at once; for a sum nobody has to wait.
    if (outcome.trashed !== undefined || outcome.restoredId !== undefined) return await tell(account, { id, outcome });
    untold.set(userId, [...(untold.get(userId) ?? []), { id, outcome }]);
    waitUntil(scheduler.wait(TOLD_AFTER_MS).then(async () => await tellAll({ account, userId })));
  }
}

/** Tells the account what it has not been told yet of the changes that ended here. */
export async function tellAll({ account, userId }: Pick<Workplace, "account" | "userId">): Promise<void> {
  await Promise.all(takeUntold(userId).map(async (ended) => await tell(account, ended)));
}

async function tell(account: FilesAccount, { id, outcome }: EndedChange): Promise<void> {
  await account
    .finishChange(id, outcome)
    .catch(async () => await account.finishChange(id, outcome))
    // Files and trash are as they should be; the account finds the change unfinished and counts anew.
    .catch(() => undefined);
}

function takeUntold(userId: string): readonly EndedChange[] {
  const ended = untold.get(userId) ?? [];
  untold.delete(userId);
  return ended;
}

function noRoom({ path, growsBytes }: { path: string; growsBytes: number }, state: StorageState): ToolError {
  const { filesBytes, trashBytes, quotaBytes } = state;
  return new LimitReached(
    "storageMb",
    `There is no room for ${path} (${megabytes(growsBytes)}): files take ${megabytes(filesBytes)} and the trash ${megabytes(trashBytes)} of ${megabytes(quotaBytes)}; empty the trash, delete files and then empty it, or ask an admin for more.`,
  );
}

function megabytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}
