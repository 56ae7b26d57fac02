import * as z from "zod";
import type { ProcessOutput } from "../../../servers/sandbox/process.ts";
import { compilePattern, Search } from "./pattern.ts";
import type { ProcessRecord } from "./record.ts";
import type { Turns } from "./turns.ts";

const place = z.int().nonnegative();

export const readSchema = z.object({
  after: z.object({ stdout: place, stderr: place }),
  waitMs: z.int().min(0).max(2_147_483_647),
  until: z
    .union([
      z.object({ pattern: z.string().min(1).max(2_000) }),
      z.object({ port: z.int().min(1).max(65_535) }),
      z.enum(["end", "output"]),
    ])
    .optional(),
  maxChars: z.int().min(1).max(10_000_000),
});

export type ProcessRead = z.output<typeof readSchema>;

export interface ReadOptions {
  readonly isListening: (port: number) => Promise<boolean>;
  /** For trying patterns. */
  readonly turns: Turns;
  readonly signal: AbortSignal;
}

/** Output that has paused for this long has come to a rest. */
const PAUSE_MS = 250;
const PORT_EVERY_MS = 50;
/** So long a server has to stay: some, as Vite, first listen to see whether a port is free, which takes its time on a busy machine. */
const STAYS_MS = 250;
/** Output comes in more pieces than anybody needs to look at one by one. */
const PATTERN_EVERY_MS = 20;

export async function readProcess(
  record: ProcessRecord,
  read: ProcessRead,
  options: ReadOptions,
): Promise<Omit<ProcessOutput, "notes">> {
  const isReached = await waitFor(record, read, options);
  const info = record.info();
  const after = { maxChars: read.maxChars, isOver: !info.isRunning };
  return {
    ...info,
    stdout: await record.stdout.readAfter(read.after.stdout, after),
    stderr: await record.stderr.readAfter(read.after.stderr, after),
    isReached,
  };
}

async function waitFor(record: ProcessRecord, read: ProcessRead, options: ReadOptions): Promise<boolean> {
  const wait = new Wait(record, read.waitMs, options.signal);
  if (read.until === undefined || read.until === "output") return await waitForOutput(record, read, wait);
  if (read.until === "end") {
    while (wait.isOn) await wait.forEnd();
    return !record.isRunning;
  }
  if ("port" in read.until) {
    for (let sinceMs = Infinity; ;) {
      const isThere = await options.isListening(read.until.port);
      sinceMs = isThere ? Math.min(sinceMs, performance.now()) : Infinity;
      if (!wait.isOn || performance.now() - sinceMs >= STAYS_MS) return isThere;
      await wait.forEnd(PORT_EVERY_MS);
    }
  }
  const pattern = compilePattern(read.until.pattern, options.turns);
  const searches = [
    new Search(record.stdout, read.after.stdout, pattern),
    new Search(record.stderr, read.after.stderr, pattern),
  ];
  for (;;) {
    const isLast = !wait.isOn;
    const before = writtenBytes(record);
    for (const search of searches) if (await search.isFound()) return true;
    if (isLast) return false;
    if (writtenBytes(record) === before) await wait.forNews();
    await wait.forEnd(PATTERN_EVERY_MS);
  }
}

function writtenBytes({ stdout, stderr }: ProcessRecord): number {
  return stdout.totalBytes + stderr.totalBytes;
}

async function waitForOutput(record: ProcessRecord, { after, until }: ProcessRead, wait: Wait): Promise<boolean> {
  const isNew = (): boolean => record.stdout.totalBytes > after.stdout || record.stderr.totalBytes > after.stderr;
  while (!isNew() && wait.isOn) await wait.forNews();
  if (until === "output") return isNew();
  for (let before = -1; isNew() && wait.isOn && before !== writtenBytes(record);) {
    before = writtenBytes(record);
    await wait.forNews(PAUSE_MS);
  }
  return isNew();
}

/** Waiting for one process until it ends, the time is up or nobody wants to know. */
class Wait {
  readonly #record: ProcessRecord;
  readonly #signal: AbortSignal;
  readonly #untilMs: number;

  constructor(record: ProcessRecord, waitMs: number, signal: AbortSignal) {
    this.#record = record;
    this.#signal = signal;
    this.#untilMs = performance.now() + waitMs;
  }

  get isOn(): boolean {
    return this.#record.isRunning && !this.#signal.aborted && performance.now() < this.#untilMs;
  }

  async forNews(maxMs?: number): Promise<void> {
    await this.#for(["output", "end"], maxMs);
  }

  async forEnd(maxMs?: number): Promise<void> {
    await this.#for(["end"], maxMs);
  }

  async #for(wanted: readonly string[], maxMs = Infinity): Promise<void> {
    if (!this.isOn) return;
    const ms = Math.min(maxMs, this.#untilMs - performance.now());
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, Math.ceil(ms));
    const onAbort = (): void => resolve();
    const unlisten = this.#record.listen((news) => wanted.includes(news) && resolve());
    this.#signal.addEventListener("abort", onAbort);
    await promise;
    clearTimeout(timer);
    unlisten();
    this.#signal.removeEventListener("abort", onAbort);
  }
}
