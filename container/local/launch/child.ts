import { type ChildProcess, spawn } from "node:child_process";
import path from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import type { SuiteLog } from "./log.ts";
import { LaunchProblem } from "./problem.ts";

export interface ChildOptions<Ready> {
  /** A TypeScript file, by its path below `container/local`. */
  readonly script: string;
  /** Who it is in the log. */
  readonly name: string;
  /** Written to its stdin as one line of JSON, where no other process can read secrets. A restart gets `first`. */
  readonly config: (first?: Ready) => Promise<object>;
  /** The line of JSON that it prints when it is ready. */
  readonly ready: z.ZodType<Ready>;
  readonly startTimeoutMs: number;
  readonly env: NodeJS.ProcessEnv;
  readonly log: SuiteLog;
  /** Told what takes long. */
  readonly report: (line: string) => void;
}

export interface Child<Ready> {
  readonly ready: Ready;
  /** Closes its stdin, which is what ends it, also when this process is killed; then waits, and kills it if it must. */
  close(): Promise<void>;
}

const END_TIMEOUT_MS = 3_000;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5_000;
const STEADY_AFTER_MS = 60_000;

/** Starts a part of the suite as a process of its own, and again whenever it dies, until `close`. */
export async function startChild<Ready>(options: ChildOptions<Ready>): Promise<Child<Ready>> {
  const { name, log } = options;
  let running = await startOnce(options);
  const first = running.ready;
  const closing = new AbortController();

  const supervise = async (): Promise<void> => {
    let pauseMs = FIRST_PAUSE_MS;
    while (!closing.signal.aborted) {
      const startedMs = performance.now();
      await running.ended;
      if (performance.now() - startedMs > STEADY_AFTER_MS) pauseMs = FIRST_PAUSE_MS;
      if (closing.signal.aborted) return;
      log.write("launcher", `${name} ended; it is started again in ${pauseMs} ms.`);
      await sleep(pauseMs, undefined, { signal: closing.signal }).catch(() => undefined);
      if (closing.signal.aborted) return;
      pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
      running = await startOnce(options, { first, signal: closing.signal }).catch((error: unknown) => {
        log.write("launcher", String(error));
        return running;
      });
    }
  };
  const supervised = supervise();

  return {
    ready: first,
    close: async () => {
      closing.abort();
      await end(running.process, running.ended);
      await supervised;
      // A restart may just have come to its end.
      await end(running.process, running.ended);
    },
  };
}

interface Running<Ready> {
  readonly process: ChildProcess;
  readonly ready: Ready;
  readonly ended: Promise<void>;
}

interface Restart<Ready> {
  readonly first: Ready;
  /** Aborts where it is to be given up. */
  readonly signal: AbortSignal;
}

async function startOnce<Ready>(options: ChildOptions<Ready>, restart?: Restart<Ready>): Promise<Running<Ready>> {
  const { name, log, env } = options;
  // A process group of its own: Ctrl-C at the terminal is the launcher's to handle.
  const child = spawn(process.execPath, [path.join(import.meta.dirname, "..", options.script)], {
    detached: true,
    env,
  });
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  createInterface({ input: child.stderr }).on("line", (line) => log.write(name, line));
  child.stdin.on("error", () => undefined);
  const announced = readAnnouncement(createInterface({ input: child.stdout }), options);
  announced.catch(() => undefined);
  try {
    child.stdin.write(`${JSON.stringify(await options.config(restart?.first))}\n`);
    const didNotStart = new LaunchProblem(`${name} did not start; ${log.file} says why.`);
    const over = sleep(options.startTimeoutMs, undefined, {
      ref: false,
      ...(restart === undefined ? {} : { signal: restart.signal }),
    }).catch(() => undefined);
    const ready = await Promise.race([
      announced,
      ended.then(() => Promise.reject(didNotStart)),
      over.then(() => Promise.reject(didNotStart)),
    ]);
    child.stdout.resume();
    return { process: child, ready, ended };
  } catch (error) {
    await end(child, ended);
    throw error;
  }
}

/** What a child may say before it is ready: what takes long, or the sentence why it cannot start. */
const earlySchema = z.union([z.object({ report: z.string() }), z.object({ problem: z.string() })]);

async function readAnnouncement<Ready>(lines: AsyncIterable<string>, options: ChildOptions<Ready>): Promise<Ready> {
  for await (const line of lines) {
    const message: unknown = JSON.parse(line);
    const early = earlySchema.safeParse(message);
    if (!early.success) return options.ready.parse(message);
    if ("problem" in early.data) throw new LaunchProblem(early.data.problem);
    options.report(early.data.report);
  }
  // It has ended, which the caller sees first.
  return await new Promise(() => undefined);
}

async function end(child: ChildProcess, ended: Promise<void>): Promise<void> {
  child.stdin?.end();
  const timer = setTimeout(() => child.kill("SIGKILL"), END_TIMEOUT_MS);
  await ended;
  clearTimeout(timer);
}
