import { DurableObject } from "cloudflare:workers";
import { consoleLog, describeFailure } from "../core/log.ts";
import { ToolError } from "../shared/errors.ts";
import { durationMs, parseSettings } from "../shared/settings.ts";
import { putParts, removeParts } from "./snapshot-bucket.ts";
import { SnapshotLedger } from "./snapshot-ledger.ts";
import { restoreNewest, type Progress } from "./snapshot-restore.ts";
import type { Failure, RestoreReport, SnapshotReport, Workspace, WorkspaceLook } from "./workspace.ts";

export interface SnapshotBindings {
  readonly SNAPSHOTS: R2Bucket;
}

/** So many windows after the first change there is a snapshot, whether or not changes still come. */
const MAX_WINDOWS = 4;
/** Of the time that passes, snapshots take at most a tenth. */
const REST_FACTOR = 9;
const MAX_ATTEMPTS = 10;
const MAX_RETRY_MS = 15 * 60_000;
/** An alarm has fifteen minutes; whoever takes longer has been given up by whatever is at the other end. */
const WORK_LIMIT_MS = 14 * 60_000;

/** A change is told once in so long; what comes within that is told by none. */
const MAX_SILENCE_MS = 5_000;
const WINDOW_PARTS = 6;

const FAILED = "The last snapshot could not be taken, and is tried again.";

/**
 * The snapshots of one sandbox, whose id is this object's name. It takes one when its alarm says so and restores the
 * newest on demand, one thing at a time; whatever ends it in the middle leaves the snapshot before as it was.
 */
export abstract class SandboxSnapshotsObject<
  Env extends SnapshotBindings = SnapshotBindings,
> extends DurableObject<Env> {
  readonly #ledger: SnapshotLedger;
  readonly #windowMs: number;
  #last: Promise<unknown> = Promise.resolve();
  /** Ends what is done now. */
  #abort = new AbortController();
  #restoring: Promise<RestoreReport> | undefined;
  #progress: Progress = { doneBytes: 0, totalBytes: 0 };
  /** Nothing after an eviction: then the snapshot is taken a little earlier. */
  #lastChangeMs: number | undefined;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    this.#ledger = new SnapshotLedger(state.storage.kv);
    this.#windowMs = durationMs(parseSettings(env).SNAPSHOT_AFTER);
  }

  /** What the suite's driver shows of a sandbox. */
  protected abstract workspaceOf(sandboxId: string): Workspace;

  async noteChange(): Promise<void> {
    this.#lastChangeMs = Date.now();
    if (this.#ledger.state.unsavedSinceMs !== undefined) return;
    this.#ledger.update({ unsavedSinceMs: Date.now(), failures: 0 });
    await this.ctx.storage.setAlarm(Date.now() + this.#windowMs);
  }

  async describe(): Promise<SnapshotReport> {
    const { notes, failures } = this.#ledger.state;
    const [newest] = this.#ledger.restorable;
    return {
      ...(newest !== undefined && { last: { atMs: newest.atMs, sizeBytes: newest.sizeBytes } }),
      notes: failures === 0 ? notes : [...notes, FAILED],
    };
  }

  async restore(waitMs: number): Promise<RestoreReport> {
    this.#restoring ??= this.#inTurn(async (signal) => await this.#restore(signal))
      .catch((error: unknown) => ({ state: "failed" as const, ...this.#failureOf(error) }))
      .finally(() => (this.#restoring = undefined));
    const { promise, resolve } = Promise.withResolvers<RestoreReport>();
    const timer = setTimeout(() => resolve({ state: "restoring", ...this.#progress }), waitMs);
    try {
      return await Promise.race([this.#restoring, promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** What is done now, a snapshot or a restore, is given up. */
  async reset(): Promise<Failure | undefined> {
    this.#abort.abort(new ToolError("cancelled", "The sandbox was reset."));
    try {
      await this.#inTurn(async () => {
        this.#ledger.reset();
        await this.#workspace().reset();
      });
      await this.noteChange();
      return undefined;
    } catch (error) {
      return this.#failureOf(error);
    }
  }

  /** Takes a snapshot where anything has changed, for a container that is about to sleep. False where that failed. */
  async saveBeforeSleep(): Promise<boolean> {
    return await this.#attempt();
  }

  override async alarm(): Promise<void> {
    const dueMs = this.#dueMs();
    if (dueMs === undefined) return;
    if (dueMs > Date.now()) return await this.ctx.storage.setAlarm(dueMs);
    await this.#attempt();
  }

  #dueMs(): number | undefined {
    const { unsavedSinceMs, lastAttempt } = this.#ledger.state;
    if (unsavedSinceMs === undefined) return undefined;
    const quietMs = (this.#lastChangeMs ?? unsavedSinceMs) + this.#windowMs;
    const restedMs = lastAttempt === undefined ? 0 : lastAttempt.endedAtMs + REST_FACTOR * lastAttempt.tookMs;
    return Math.max(Math.min(quietMs, unsavedSinceMs + MAX_WINDOWS * this.#windowMs), restedMs);
  }

  /** Never rejects. What came while it went on, or what it could not keep, has an alarm afterwards. */
  async #attempt(): Promise<boolean> {
    const beganMs = Date.now();
    try {
      const { mayChange, tookMs } = await this.#inTurn(async (signal) => await this.#save(signal));
      const heardUntilMs = (this.#lastChangeMs ?? 0) + silenceOf(this.#windowMs);
      const unsavedSinceMs = mayChange || heardUntilMs >= beganMs ? Date.now() : undefined;
      const lastAttempt = { endedAtMs: Date.now(), tookMs };
      this.#ledger.update({ unsavedSinceMs, lastAttempt, failures: 0 });
      if (unsavedSinceMs !== undefined) await this.ctx.storage.setAlarm(this.#dueMs() ?? 0);
      return true;
    } catch (error) {
      const failures = this.#ledger.state.failures + 1;
      consoleLog.error("no snapshot", { sandbox: this.ctx.id.name, failures, failure: describeFailure(error) });
      this.#ledger.update({ failures });
      const retryMs = Math.min(MAX_RETRY_MS, this.#windowMs * 2 ** (failures - 1));
      if (failures < MAX_ATTEMPTS) await this.ctx.storage.setAlarm(Date.now() + retryMs);
      else this.#ledger.update({ unsavedSinceMs: undefined });
      return false;
    }
  }

  /** A snapshot of what is there, unless the newest is one; `mayChange`: something in the sandbox is still at work. */
  async #save(signal: AbortSignal): Promise<{ mayChange: boolean; tookMs: number }> {
    const ledger = this.#ledger;
    const workspace = this.#workspace();
    const beganMs = Date.now();
    const look = await workspace.look();
    if (look.state !== "ready") {
      if (look.state === "unable") ledger.update({ notes: [look.reason] });
      return { mayChange: false, tookMs: Date.now() - beganMs };
    }
    if (look.fingerprint !== ledger.state.fingerprint) {
      await this.#removeStale();
      const key = `${this.#sandboxId()}/${crypto.randomUUID()}`;
      const stream = await workspace.save(signal);
      ledger.begin(key);
      const stored = await putParts(this.env.SNAPSHOTS, key, stream, signal);
      signal.throwIfAborted();
      ledger.add({ ...stored, atMs: beganMs }, look.fingerprint, notesOf(look));
      // What cannot be removed now is removed before the next.
      await this.#removeStale().catch(() => undefined);
    }
    return { mayChange: look.isBusy, tookMs: Date.now() - beganMs };
  }

  /** What nobody needs any more, and what is left of attempts that ended in the middle. */
  async #removeStale(): Promise<void> {
    const { stale } = this.#ledger.state;
    for (const key of stale) await removeParts(this.env.SNAPSHOTS, key);
    if (stale.length > 0) this.#ledger.update({ stale: [] });
  }

  async #restore(signal: AbortSignal): Promise<RestoreReport> {
    const onProgress = (progress: Progress): void => void (this.#progress = progress);
    const snapshots = this.#ledger.restorable;
    const { restored, fingerprint } = await restoreNewest(this.env.SNAPSHOTS, snapshots, this.#workspace(), {
      signal,
      onProgress,
    });
    if (restored === undefined || restored === snapshots[0]) {
      this.#ledger.update({ fingerprint });
      return { state: "restored" };
    }
    const note = `The newest snapshot of this sandbox could not be read: /workspace is what it was at ${new Date(restored.atMs).toISOString()}.`;
    this.#ledger.update({ fingerprint: undefined, notes: [note] });
    return { state: "restored", note };
  }

  /** One thing at a time: a reset never meets a snapshot that would bring back what is to be forgotten. */
  async #inTurn<Result>(work: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
    const turn = this.#last.then(async () => {
      this.#abort = new AbortController();
      return await work(AbortSignal.any([this.#abort.signal, AbortSignal.timeout(WORK_LIMIT_MS)]));
    });
    this.#last = turn.catch(() => undefined);
    return await turn;
  }

  #failureOf(error: unknown): Failure {
    if (error instanceof ToolError) return { code: error.code, message: error.message };
    consoleLog.error("snapshots broke", { sandbox: this.ctx.id.name, failure: describeFailure(error) });
    return { code: "unavailable", message: "The sandbox's snapshots could not be reached; try again." };
  }

  #workspace(): Workspace {
    return this.workspaceOf(this.#sandboxId());
  }

  #sandboxId(): string {
    const { name } = this.ctx.id;
    if (name === undefined) throw new Error("The snapshots of a sandbox are found by its id.");
    return name;
  }
}

/** How long whoever has told a change of a sandbox keeps to itself that there are more. */
export function silenceOf(windowMs: number): number {
  return Math.min(MAX_SILENCE_MS, windowMs / WINDOW_PARTS);
}

function notesOf({ unreadable }: Extract<WorkspaceLook, { state: "ready" }>): string[] {
  if (unreadable === 0) return [];
  return [
    `${unreadable} files or folders that the sandbox's user cannot read are in no snapshot; chmod them to keep them.`,
  ];
}
