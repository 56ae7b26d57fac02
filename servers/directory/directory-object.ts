import { MAY_BE_AT_WORK_MS } from "../account/handle-table.ts";
import { consoleLog, describeFailure } from "../core/log.ts";
import type { Limits, Policy, Role } from "../shared/limits.ts";
import { parseSettings } from "../shared/settings.ts";
import { within } from "../shared/within.ts";
import { Directory } from "./directory.ts";
import type { KnownPerson } from "./people-table.ts";
import { PolicyTable } from "./policy-table.ts";
import { type Stop, StopTable } from "./stop-table.ts";

/** How many people's work is ended at the same time. */
const STOPS_AT_ONCE = 50;
const STOP_TIMEOUT_MS = 60_000;
/** Those whose first call is only just in the books are known a little later. */
const LATECOMERS_MS = 15_000;
const BEGAN_LATELY_MS = 60_000;
const MAX_PEOPLE = 1_000_000;
const LATECOMERS_KEY = "latecomers-at-ms";

/** The directory that also rules: the limits of each role, and the pause of one person or everybody. */
export abstract class DirectoryObject<Env extends object = object> extends Directory<Env> {
  readonly #policy: PolicyTable;
  readonly #stops: StopTable;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    const { sql } = state.storage;
    this.#policy = new PolicyTable(sql, () => parseSettings({ ...env }).LIMITS);
    this.#stops = new StopTable(sql);
  }

  /** Ends all that the person has going, where they are paused still. Rejects where some of it could not be reached. */
  protected abstract endWork(userId: string, isEverybodyPaused: boolean): Promise<void>;

  policy(): Policy {
    return this.#policy.policy;
  }

  /** Puts these in the place of all that the settings say of the role; without any, the settings hold again. */
  setRoleLimits(role: Role, limits: Limits | undefined): void {
    this.#policy.setRoleLimits(role, limits);
  }

  /** Nobody's calls are let in from now on, and what everybody has going is ended. */
  async pauseAll(reason: string): Promise<void> {
    const nowMs = Date.now();
    this.ctx.storage.transactionSync(() => {
      this.#policy.pauseAll(reason, nowMs);
      this.#beginStops(nowMs - MAY_BE_AT_WORK_MS, nowMs);
      this.ctx.storage.kv.put(LATECOMERS_KEY, nowMs + LATECOMERS_MS);
    });
    await this.#arm();
  }

  resumeAll(): void {
    this.#policy.resumeAll();
    this.ctx.storage.kv.delete(LATECOMERS_KEY);
  }

  /** Takes in what a person's account has been told, for the list of people; what a paused one has going is ended. */
  async noteRules(userId: string, rules: Pick<KnownPerson, "isPaused" | "hasLimits">): Promise<void> {
    this.peopleTable.noteRules(userId, rules, Date.now());
    if (!rules.isPaused) return;
    this.#stops.begin([userId], Date.now());
    await this.#arm();
  }

  override async alarm(): Promise<void> {
    const nowMs = Date.now();
    if ((this.#latecomersAtMs ?? Infinity) <= nowMs) {
      this.ctx.storage.kv.delete(LATECOMERS_KEY);
      this.#beginStops(nowMs - BEGAN_LATELY_MS, nowMs);
    }
    await Promise.all(this.#stops.due(nowMs, STOPS_AT_ONCE).map(async (stop) => await this.#stop(stop)));
    await this.#arm();
  }

  get #latecomersAtMs(): number | undefined {
    const atMs = this.ctx.storage.kv.get(LATECOMERS_KEY);
    return typeof atMs === "number" ? atMs : undefined;
  }

  #beginStops(seenSinceMs: number, nowMs: number): void {
    this.#stops.begin(this.peopleTable.activeSince(seenSinceMs, MAX_PEOPLE), nowMs);
  }

  async #stop(stop: Stop): Promise<void> {
    try {
      const isEverybodyPaused = this.policy().pausedAll !== undefined;
      await within(STOP_TIMEOUT_MS, this.endWork(stop.userId, isEverybodyPaused));
      this.#stops.succeed(stop);
    } catch (failure) {
      consoleLog.error("work not ended", { userId: stop.userId, failure: describeFailure(failure) });
      this.#stops.fail(stop, Date.now());
    }
  }

  async #arm(): Promise<void> {
    const due = Math.min(this.#stops.dueAtMs() ?? Infinity, this.#latecomersAtMs ?? Infinity);
    if (due !== Infinity) await this.ctx.storage.setAlarm(due);
  }
}
