import { describeFailure, type Log } from "../core/log.ts";

/** Work that an account does by itself; its one alarm serves all of them. */
export interface Chore {
  readonly name: string;
  /** When something is to be done next; absent where nothing is. */
  dueAtMs(): number | undefined;
  /** Does what is due, or a bounded part of it: then it is due again. */
  run(nowMs: number): Promise<void>;
}

/** What failed is not tried again at once: R2 may be away for a while. */
const AFTER_FAILURE_MS = 60_000;

/** Sets the alarm for the chore that is due first, unless it goes off before that anyway. */
export async function armAlarm(
  storage: DurableObjectStorage,
  chores: readonly Chore[],
  notBeforeMs: number = 0,
): Promise<void> {
  const due = chores.flatMap((chore) => chore.dueAtMs() ?? []);
  if (due.length === 0) return;
  // No alarm can be set to 0.
  const atMs = Math.max(Math.min(...due), notBeforeMs, 1);
  const armedAtMs = await storage.getAlarm();
  if (armedAtMs === null || armedAtMs > atMs) await storage.setAlarm(atMs);
}

/** What the alarm does. One chore that fails keeps no other from being done. */
export async function runChores(storage: DurableObjectStorage, chores: readonly Chore[], log: Log): Promise<void> {
  let hasFailed = false;
  for (const chore of chores) {
    const nowMs = Date.now();
    if ((chore.dueAtMs() ?? Infinity) > nowMs) continue;
    try {
      await chore.run(nowMs);
    } catch (failure) {
      hasFailed = true;
      log.error("chore failed", { chore: chore.name, failure: describeFailure(failure) });
    }
  }
  await armAlarm(storage, chores, hasFailed ? Date.now() + AFTER_FAILURE_MS : 0);
}
