import * as z from "zod";
import { containerNanoUsd, type InstanceType } from "../servers/account/prices.ts";
import { type KeepCosts, SessionTime } from "../servers/account/session-time.ts";
import { personOfSandbox } from "../servers/sandbox/driver.ts";

const OWNER_KEY = "pincer:owner";
const SPANS_KEY = "pincer:unsettled-time";

/** Where it is kept. */
export const RUN_TIME_KEY = "pincer:run-time";

const runTimeSchema = z.object({
  /** All times before the present one. */
  pastMs: z.number(),
  /** Absent while the container does not run. */
  startedAtMs: z.number().exactOptional(),
});

/** As much of `ctx.storage.kv` as this needs. */
interface Storage {
  get(key: string): unknown;
  put(key: string, value: unknown): void;
}

/** For how long a container has run; kept in storage, since its Durable Object may be evicted beside it. */
export type RunTime = z.output<typeof runTimeSchema>;

export function readRunTime(storage: Storage): RunTime {
  return runTimeSchema.catch({ pastMs: 0 }).parse(storage.get(RUN_TIME_KEY));
}

/** Notes that the container runs, or does so no longer; to say it again changes nothing. */
export function noteRunning(storage: Storage, isRunning: boolean, nowMs: number): void {
  const { pastMs, startedAtMs } = readRunTime(storage);
  if (isRunning === (startedAtMs !== undefined)) return;
  const noted: RunTime =
    startedAtMs === undefined ? { pastMs, startedAtMs: nowMs } : { pastMs: pastMs + Math.max(0, nowMs - startedAtMs) };
  storage.put(RUN_TIME_KEY, noted);
}

/** As much of a person's `Account` as a container's time is put into. */
export interface Books extends Rpc.DurableObjectBranded {
  keepCosts: KeepCosts;
}

/** For how long a container runs: what its status says, and what its person's books say of it. */
export class ContainerTime {
  readonly #storage: Storage;
  readonly #time: SessionTime;

  constructor(storage: Storage, instanceType: InstanceType, booksOf: (userId: string) => Pick<Books, "keepCosts">) {
    const nanoUsdOf = (ranMs: number): number => containerNanoUsd(instanceType, ranMs);
    this.#storage = storage;
    this.#time = new SessionTime({ kind: "sandbox", key: SPANS_KEY, nanoUsdOf }, storage, async (costs) => {
      await booksOf(String(storage.get(OWNER_KEY))).keepCosts(costs);
    });
  }

  /** It never is anybody else's, whatever becomes of what is in it. */
  noteOwner(sandboxId: string): void {
    this.#storage.put(OWNER_KEY, personOfSandbox(sandboxId));
  }

  noteRunning(containerId: string, isRunning: boolean, nowMs: number): void {
    noteRunning(this.#storage, isRunning, nowMs);
    if (isRunning) this.#time.begin(containerId, nowMs);
    else this.#time.end(containerId, nowMs);
  }

  /** What ran before anybody used it waits for its first use. */
  async settle(nowMs: number): Promise<void> {
    if (typeof this.#storage.get(OWNER_KEY) === "string") await this.#time.settle(nowMs);
  }
}
