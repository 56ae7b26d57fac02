import type { SuiteLog } from "./log.ts";

/** How to end what has been started; the last comes first. */
export interface Closers {
  add(close: () => Promise<void>): void;
}

/** What every part of the suite is started on. */
export interface Ground {
  readonly dataDir: string;
  /** Emptied at each start. */
  readonly tempDir: string;
  readonly allowedHosts: readonly string[];
  readonly suiteOrigin: string;
  /** Of the processes that are started: without the user's keys, which are handed to whoever needs them. */
  readonly env: Readonly<NodeJS.ProcessEnv>;
  readonly log: SuiteLog;
  /** Tells the person at the terminal what takes long. */
  readonly report: (line: string) => void;
  readonly closers: Closers;
}
