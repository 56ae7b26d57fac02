import type { SizedStream } from "../files/store.ts";
import { type ErrorCode, ToolError } from "../shared/errors.ts";
import type { Watch } from "./driver.ts";

/*
 * How a sandbox survives what takes its disk: a driver shows the sandbox's `Workspace` to the Durable Object
 * `SandboxSnapshots`, and asks it, as a `SnapshotKeeper`, for what the sandbox held.
 *
 * A sandbox whose disk is fresh is unrestored. It refuses every call that would run something, or see or change its
 * disk, until it was restored; the refusal comes from the sandbox itself, whoever calls. A restore that ended half-way
 * leaves it unrestored, and an unrestored one gives no snapshot: so nothing half ever replaces what is whole.
 */

/** `/workspace` of one sandbox, but for `/workspace/files`. Every method may throw `ToolError("unavailable")`. */
export interface Workspace {
  /** How it is. Is no use of the sandbox, which it does not keep awake; a sandbox that lost its disk is not started. */
  look(): Promise<WorkspaceLook>;
  /**
   * All of it as a tar, compressed by zstd, but for what `.snapshotignore` names. Modes, times, links and empty folders
   * are in it. The stream breaks where it is not whole. Rejects with `conflict` where the sandbox is unrestored. No use
   * either.
   */
  save(signal: AbortSignal): Promise<ReadableStream<Uint8Array>>;
  /**
   * Empties an unrestored sandbox and fills it with what `save` gave; without a snapshot it begins as it is, emptied of
   * half a restore. Starts the sandbox where it does not run. Rejects with `conflict` where it is restored already.
   */
  restore(snapshot: SizedStream | undefined, signal: AbortSignal): Promise<RestoreEnd>;
  /** Ends everything in the sandbox and empties it, restored or not. It begins empty, or unrestored. */
  reset(): Promise<void>;
  /** Whether what it holds outlives its end. */
  readonly keepsDisk: boolean;
  /** Ends everything in the sandbox, and nothing else; where it keeps no disk it is unrestored then. */
  end(): Promise<void>;
  /** Ends everything in the sandbox and takes it away, disk and all, at once: it begins unrestored. */
  remove(): Promise<void>;
}

export type WorkspaceLook =
  /** It sleeps without a disk: what changed since the last snapshot is gone. */
  | { readonly state: "asleep" }
  | { readonly state: "unrestored" }
  /** Snapshots cannot be made of it; `reason` is a sentence for its caller. */
  | { readonly state: "unable"; readonly reason: string }
  | {
      readonly state: "ready";
      /** The same as long as nothing that a snapshot holds has changed. */
      readonly fingerprint: string;
      /** Whether commands run that may change it. */
      readonly isBusy: boolean;
      /** Files and folders that the sandbox's user cannot read, and that are in no snapshot for it. */
      readonly unreadable: number;
    };

/** What a sandbox's caller has to know of its snapshots. */
export function notesOf({ unreadable }: Extract<WorkspaceLook, { state: "ready" }>): string[] {
  if (unreadable === 0) return [];
  return [
    `${unreadable} files or folders that the sandbox's user cannot read are in no snapshot; chmod them to keep them.`,
  ];
}

export type RestoreEnd =
  /** The fingerprint is that of what was restored; absent where that was nothing. */
  | { readonly state: "restored"; readonly fingerprint?: string }
  /** All bytes have arrived, and they are no snapshot. The sandbox is still unrestored. */
  | { readonly state: "damaged" };

/** What a driver asks of `SandboxSnapshots`. */
export interface SnapshotKeeper {
  /** Something may have changed in the sandbox, or may be about to. Costs the call that says it nothing. */
  noteChange(): void;
  /**
   * Gives an unrestored sandbox what it held: once, for all who ask meanwhile. Answers when that is over, or how far it
   * is after `waitMs`; it goes on then.
   */
  restore(waitMs: number): Promise<RestoreReport>;
  /** Resets the sandbox so that nothing from before comes back. Answers what went wrong. */
  reset(): Promise<Failure | undefined>;
  /** Ends everything in the sandbox, once nothing can be lost by it. Answers what went wrong; nothing has ended then. */
  sleep(): Promise<Failure | undefined>;
  /** Lets another sandbox begin as a copy of this one. Answers what went wrong. */
  fork(intoId: string): Promise<Failure | undefined>;
  /** Removes the sandbox, its snapshots and what is known of them. Answers what went wrong. */
  discard(): Promise<Failure | undefined>;
  /** The newest snapshot, and what its caller has to know about it. */
  describe(): Promise<SnapshotReport>;
}

export type RestoreReport =
  /** `note`: a sentence for the caller, where what came back is not the newest. */
  | { readonly state: "restored"; readonly note?: string }
  | { readonly state: "restoring"; readonly doneBytes: number; readonly totalBytes: number }
  | ({ readonly state: "failed" } & Failure);

export interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
}

export interface SnapshotReport {
  readonly last?: { readonly atMs: number; readonly sizeBytes: number };
  readonly notes: readonly string[];
}

/** A driver's own side says that the sandbox has to be restored before the call can begin. */
export class Unrestored extends Error {}

/** A call that may not wait still waits as long as a sandbox takes to start. */
const MIN_WAIT_MS = 10_000;
/** How often the caller is told how far a restore is. */
const TELL_MS = 2_000;

/**
 * Makes a call, and where its sandbox is unrestored has that restored and makes it again. `say` is given what the
 * caller has to know of it. Rejects with `unavailable` where it takes longer than the call may wait.
 */
export async function whenRestored<Result>(
  keeper: SnapshotKeeper,
  { waitMs, watch, say }: { readonly waitMs: number; readonly watch?: Watch; readonly say?: (note: string) => void },
  attempt: () => Promise<Result>,
): Promise<Result> {
  try {
    return await attempt();
  } catch (error) {
    if (!(error instanceof Unrestored)) throw error;
  }
  const untilMs = Date.now() + Math.max(waitMs, MIN_WAIT_MS);
  for (;;) {
    const report = await keeper.restore(Math.max(0, Math.min(TELL_MS, untilMs - Date.now())));
    if (watch?.signal.aborted === true) throw new ToolError("cancelled", "The call was cancelled by its client.");
    if (report.state === "failed") throw new ToolError(report.code, report.message);
    if (report.state === "restored") {
      if (report.note !== undefined) say?.(report.note);
      break;
    }
    const progress = `${megabytes(report.doneBytes)} of ${megabytes(report.totalBytes)} MB`;
    if (Date.now() >= untilMs) {
      throw new ToolError("unavailable", `The sandbox is being restored (${progress}); try again in a moment.`);
    }
    watch?.onStarting?.(`${progress} of its workspace are restored`);
  }
  try {
    return await attempt();
  } catch (error) {
    if (!(error instanceof Unrestored)) throw error;
    throw new ToolError("unavailable", "The sandbox lost its disk while it was restored; try again.", { cause: error });
  }
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 1e6);
}
