import { consoleLog, describeFailure } from "../core/log.ts";
import { silenceOf } from "./snapshot-silence.ts";
import type { SandboxSnapshotsObject } from "./snapshots.ts";
import type { Failure, SnapshotKeeper } from "./workspace.ts";

/** An isolate's: when changes in a sandbox were last told, by its id. */
export type ToldChanges = Map<string, number>;

const MAX_REMEMBERED = 1_000;
const INTO_ITSELF: Failure = {
  code: "invalid_input",
  message: "A sandbox cannot become a copy of itself; name another one.",
};

export interface KeepersContext {
  readonly namespace: DurableObjectNamespace<SandboxSnapshotsObject>;
  /** `SNAPSHOT_AFTER`. */
  readonly windowMs: number;
  readonly told: ToldChanges;
  readonly waitUntil: (work: Promise<unknown>) => void;
}

/** Who keeps the snapshots of the sandbox with that id. */
export function createSnapshotKeepers({
  namespace,
  windowMs,
  told,
  waitUntil,
}: KeepersContext): (sandboxId: string) => SnapshotKeeper {
  const silenceMs = silenceOf(windowMs);
  const objectOf = (sandboxId: string) => namespace.get(namespace.idFromName(sandboxId));
  return (sandboxId) => {
    const keeper = () => objectOf(sandboxId);
    return {
      noteChange: () => {
        const now = Date.now();
        if (now - (told.get(sandboxId) ?? 0) < silenceMs) return;
        if (told.size >= MAX_REMEMBERED) told.clear();
        told.set(sandboxId, now);
        waitUntil(
          keeper()
            .noteChange()
            .catch((failure: unknown) => {
              told.delete(sandboxId);
              consoleLog.error("change not told", { sandbox: sandboxId, failure: describeFailure(failure) });
            }),
        );
      },
      restore: async (waitMs) => await keeper().restore(waitMs),
      reset: async () => await keeper().reset(),
      sleep: async () => await keeper().sleep(),
      fork: async (intoId) => {
        if (intoId === sandboxId) return INTO_ITSELF;
        const saved = await keeper().saveForCopy();
        return saved.state === "failed" ? saved : await objectOf(intoId).becomeCopy(saved);
      },
      discard: async () => {
        told.delete(sandboxId);
        return await keeper().discard();
      },
      describe: async () => await keeper().describe(),
    };
  };
}
