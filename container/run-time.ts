import * as z from "zod";

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
