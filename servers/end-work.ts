import { MAY_BE_AT_WORK_MS } from "./account/handle-table.ts";
import { runName } from "./delegate/runs.ts";
import type { Settings } from "./shared/settings.ts";
import { type Bindings, createPipeline } from "./suite.ts";

export interface PausedWork {
  readonly userId: string;
  readonly isEverybodyPaused: boolean;
  readonly waitUntil: (work: Promise<unknown>) => void;
}

const PAUSED = "The run was cancelled by a pause.";

/**
 * Ends what a paused person has going: cancels runs, closes browsers, and puts sandboxes to sleep, of which nothing is
 * lost. Nothing is done where the pause is lifted by now. Rejects where some of it could not be ended; all else has.
 */
export async function endWork(
  bindings: Bindings,
  settings: Settings,
  { userId, isEverybodyPaused, waitUntil }: PausedWork,
): Promise<void> {
  const account = bindings.ACCOUNT.get(bindings.ACCOUNT.idFromName(userId));
  if (!isEverybodyPaused && (await account.standing()).paused === undefined) return;
  const nobody = { userId, role: "reader", scopes: [], clientId: "pause" } as const;
  const { sandbox, browsers } = createPipeline(bindings, settings, nobody, { waitUntil }).capabilities;
  const [runs, { handles }] = await Promise.all([account.openRuns(), account.things()]);
  const cancelled = runs.map(async (runId) => {
    const run = bindings.DELEGATE_RUN.get(bindings.DELEGATE_RUN.idFromName(runName(userId, runId)));
    await run.cancel(undefined, PAUSED);
  });
  const mayWork = handles.filter(({ lastUsedMs }) => Date.now() - lastUsedMs < MAY_BE_AT_WORK_MS);
  const ended = mayWork.map(async ({ kind, name }) => {
    if (kind === "browser") await browsers.named(name).stop();
    else await sandbox(name).sleep();
  });
  const ends = await Promise.allSettled([...cancelled, ...ended]);
  const failures = ends.flatMap((end): unknown[] => (end.status === "rejected" ? [end.reason] : []));
  if (failures.length > 0) throw new Error(`${failures.length} things have not ended.`, { cause: failures[0] });
}
