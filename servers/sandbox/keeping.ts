import { ToolError } from "../shared/errors.ts";
import type { Sandbox, SandboxPort, SandboxStatus, Watch } from "./driver.ts";
import { withNotes } from "./guest.ts";
import { type Failure, type SnapshotKeeper, whenRestored } from "./workspace.ts";

/** Calls that name no wait of their own end before clients give up. */
export const WAIT_MS = 40_000;

/** How a driver calls a sandbox whose disk may have been lost, so that snapshots are kept of it. */
export interface Keeping {
  /** Work that may change something: told before it, since it may be cut off, and after it. */
  changing<Result>(work: () => Promise<Result>): Promise<Result>;
  /** The same, in a sandbox that is restored first where it has to be; the result's notes tell what of that matters. */
  running<Result extends { readonly notes?: readonly string[] }>(
    waitMs: number,
    watch: Watch,
    work: () => Promise<Result>,
  ): Promise<Result>;
  /** Work that changes nothing, in a sandbox that is restored first where it has to be. */
  restored<Result>(work: () => Promise<Result>): Promise<Result>;
  /** Whoever is asked through it may change something. */
  port(port: SandboxPort): SandboxPort;
  reset(): Promise<void>;
  sleep(): Promise<void>;
  fork(intoId: string): Promise<void>;
  discard(): Promise<void>;
  /** What a sandbox says of itself, and what there is to say of its snapshots. */
  status(asked: Promise<SandboxStatus>): Promise<SandboxStatus>;
}

type Commands = Pick<Sandbox, "listProcesses" | "signalProcess">;

export function keepingOf(keeper: SnapshotKeeper): Keeping {
  const changing = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    keeper.noteChange();
    try {
      return await work();
    } finally {
      keeper.noteChange();
    }
  };
  return {
    changing,
    running: async (waitMs, watch, work) => {
      const said: string[] = [];
      const say = (note: string): void => void said.push(note);
      const result = await changing(async () => await whenRestored(keeper, { waitMs, watch, say }, work));
      return said.length === 0 ? result : { ...result, notes: [...said, ...(result.notes ?? [])] };
    },
    restored: async (work) => await whenRestored(keeper, { waitMs: WAIT_MS }, work),
    port: (port) => ({
      ...port,
      fetch: async (request, untilMs) => await changing(async () => await port.fetch(request, untilMs)),
    }),
    reset: async () => throwFailure(await keeper.reset()),
    sleep: async () => throwFailure(await keeper.sleep()),
    fork: async (intoId) => throwFailure(await keeper.fork(intoId)),
    discard: async () => throwFailure(await keeper.discard()),
    status: async (asked) => {
      const [status, { last, notes }] = await Promise.all([asked, keeper.describe()]);
      const snapshot = last && { ageMs: Math.max(0, Date.now() - last.atMs), sizeBytes: last.sizeBytes };
      return withNotes({ ...status, ...(snapshot !== undefined && { snapshot }) }, notes);
    },
  };
}

/** Ends the commands of a sandbox at once. One that cannot be told ends with the sandbox. */
export async function endCommands({ listProcesses, signalProcess }: Commands): Promise<void> {
  const running = (await listProcesses()).filter(({ isRunning }) => isRunning);
  await Promise.allSettled(running.map(async ({ processId }) => await signalProcess(processId, "SIGKILL")));
}

function throwFailure(failure: Failure | undefined): void {
  if (failure !== undefined) throw new ToolError(failure.code, failure.message);
}
