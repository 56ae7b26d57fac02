import { DurableObject } from "cloudflare:workers";
import { consoleLog, describeFailure } from "../core/log.ts";
import { ToolError } from "../shared/errors.ts";
import { durationMs } from "../shared/setting-kinds.ts";
import { parseSettings } from "../shared/settings.ts";
import { copyParts, MissingPart, putParts, removeParts } from "./snapshot-bucket.ts";
import { type Snapshot, SnapshotLedger } from "./snapshot-ledger.ts";
import { restoreNewest, type Progress } from "./snapshot-restore.ts";
import { silenceOf } from "./snapshot-silence.ts";
import { SnapshotTurns } from "./snapshot-turns.ts";
import { type Failure, type RestoreReport, type SnapshotReport, type Workspace, notesOf } from "./workspace.ts";

export interface SnapshotBindings {
  readonly SNAPSHOTS: R2Bucket;
}

/** So many windows after the first change there is a snapshot, whether or not changes still come. */
const MAX_WINDOWS = 4;
/** Of the time that passes, snapshots take at most a tenth. */
const REST_FACTOR = 9;
const MAX_ATTEMPTS = 10;
const MAX_RETRY_MS = 15 * 60_000;

/** What a sandbox holds, for another one to begin with; without a snapshot it is nothing. */
export interface SavedForCopy {
  readonly state: "saved";
  readonly snapshot?: Snapshot;
  readonly notes: readonly string[];
}

const CHANGED: Failure = {
  code: "conflict",
  message: "The sandbox that was to be copied changed too much meanwhile, or was discarded; try again.",
};
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
  /** A reset never meets a snapshot that would bring back what is to be forgotten. */
  readonly #turns = new SnapshotTurns();
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
    this.#restoring ??= this.#turns
      .take(async (signal) => await this.#restore(signal))
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
    this.#turns.giveUp("The sandbox was reset.");
    return await this.#failureIn(async () => {
      await this.#turns.take(async () => {
        this.#ledger.reset();
        await this.#workspace().reset();
      });
      await this.noteChange();
    });
  }

  /** Ends everything in the sandbox, with a snapshot of it where its disk would be lost. */
  async sleep(): Promise<Failure | undefined> {
    return await this.#failureIn(async () => {
      await this.#turns.take(async (signal) => {
        const workspace = this.#workspace();
        const { reason } = workspace.keepsDisk ? {} : await this.#save(signal);
        if (reason !== undefined) {
          throw new ToolError("unavailable", `The sandbox cannot sleep, for its disk would be lost. ${reason}`);
        }
        await workspace.end();
      });
    });
  }

  /** Takes a snapshot where anything has changed, and says which is the newest. */
  async saveForCopy(): Promise<SavedForCopy | ({ readonly state: "failed" } & Failure)> {
    try {
      return await this.#turns.take(async (signal) => {
        const { reason } = await this.#save(signal);
        if (reason !== undefined) {
          throw new ToolError("unavailable", `The sandbox cannot be copied, which takes a snapshot. ${reason}`);
        }
        const [snapshot] = this.#ledger.restorable;
        return { state: "saved", ...(snapshot !== undefined && { snapshot }), notes: this.#ledger.state.notes };
      });
    } catch (error) {
      return { state: "failed", ...this.#failureOf(error) };
    }
  }

  /** Lets the sandbox begin with what another one holds. What is done now is given up. */
  async becomeCopy({ snapshot, notes }: SavedForCopy): Promise<Failure | undefined> {
    this.#turns.giveUp("The sandbox was replaced by a copy of another one.");
    try {
      await this.#turns.take(async (signal) => {
        if (snapshot === undefined) this.#ledger.reset();
        else this.#ledger.replace(await this.#copy(snapshot, signal), [...notes]);
        await this.#workspace().remove();
      });
      await this.noteChange();
      return undefined;
    } catch (error) {
      return error instanceof MissingPart ? CHANGED : this.#failureOf(error);
    }
  }

  /** Removes the sandbox and all that this object knows. What is done now is given up. */
  async discard(): Promise<Failure | undefined> {
    this.#turns.giveUp("The sandbox was discarded.");
    return await this.#failureIn(async () => {
      await this.#turns.take(async () => {
        // Where it ends in the middle, nothing comes back of it.
        this.#ledger.reset();
        await this.#workspace().remove();
        await removeParts(this.env.SNAPSHOTS, this.#sandboxId());
        this.#ledger.forget();
        await this.ctx.storage.deleteAlarm();
        await this.ctx.storage.deleteAll();
      });
    });
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
      const { mayChange, tookMs } = await this.#turns.take(async (signal) => await this.#save(signal));
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

  /**
   * A snapshot of what is there, unless the newest is one; `mayChange`: something in the sandbox is still at work;
   * `reason`: why there can be none.
   */
  async #save(signal: AbortSignal): Promise<{ mayChange: boolean; tookMs: number; reason?: string }> {
    const ledger = this.#ledger;
    const workspace = this.#workspace();
    const beganMs = Date.now();
    const look = await workspace.look();
    if (look.state !== "ready") {
      const reason = look.state === "unable" ? look.reason : undefined;
      if (reason !== undefined) ledger.update({ notes: [reason] });
      return { mayChange: false, tookMs: Date.now() - beganMs, ...(reason !== undefined && { reason }) };
    }
    if (look.fingerprint !== ledger.state.fingerprint) {
      await this.#removeStale();
      const stream = await workspace.save(signal);
      const key = this.#begin();
      const stored = await putParts(this.env.SNAPSHOTS, key, stream, signal);
      signal.throwIfAborted();
      ledger.add({ ...stored, atMs: beganMs }, look.fingerprint, notesOf(look));
      // What cannot be removed now is removed before the next.
      await this.#removeStale().catch(() => undefined);
    }
    return { mayChange: look.isBusy, tookMs: Date.now() - beganMs };
  }

  /** Another sandbox's snapshot as one of this one's. */
  async #copy({ atMs, ...stored }: Snapshot, signal: AbortSignal): Promise<Omit<Snapshot, "epoch">> {
    await this.#removeStale();
    return { ...(await copyParts(this.env.SNAPSHOTS, stored, this.#begin(), signal)), atMs };
  }

  /** The key of what is about to be written. */
  #begin(): string {
    const key = `${this.#sandboxId()}/${crypto.randomUUID()}`;
    this.#ledger.begin(key);
    return key;
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

  async #failureIn(work: () => Promise<void>): Promise<Failure | undefined> {
    try {
      await work();
      return undefined;
    } catch (error) {
      return this.#failureOf(error);
    }
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
