import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import { LaunchProblem } from "./launch-problem.ts";
import type { SuiteLog } from "./launch-log.ts";

export interface RuntimeConfig {
  readonly dataDir: string;
  readonly secret: string;
  readonly allowedHosts: readonly string[];
  /** Where an egress proxy in sandbox mode listens. */
  readonly egressSocket?: string;
}

export interface SandboxRuntime {
  readonly url: string;
  close(): Promise<void>;
}

const SCRIPT = path.join(import.meta.dirname, "runtime.ts");
const START_TIMEOUT_MS = 20_000;
const END_TIMEOUT_MS = 3_000;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 30_000;
const STEADY_AFTER_MS = 60_000;

const readySchema = z.object({ url: z.url() });

/** Starts the sandbox runtime, and starts it again on the same port whenever it dies, until `close`. */
export async function startSandboxRuntime(config: RuntimeConfig, log: SuiteLog): Promise<SandboxRuntime> {
  let running = await startOnce(config, log);
  const { url } = running;
  const port = Number(new URL(url).port);
  const closing = new AbortController();

  const supervise = async (): Promise<void> => {
    let pauseMs = FIRST_PAUSE_MS;
    while (!closing.signal.aborted) {
      const startedMs = performance.now();
      await running.ended;
      if (closing.signal.aborted) return;
      if (performance.now() - startedMs > STEADY_AFTER_MS) pauseMs = FIRST_PAUSE_MS;
      log.write("launcher", `The sandbox runtime ended; it is started again in ${pauseMs} ms.`);
      await sleep(pauseMs, undefined, { signal: closing.signal }).catch(() => undefined);
      pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
      if (closing.signal.aborted) return;
      running = await startOnce({ ...config, port }, log).catch((error: unknown) => {
        log.write("launcher", String(error));
        return running;
      });
    }
  };
  const supervised = supervise();

  return {
    url,
    close: async () => {
      closing.abort();
      await end(running.child, running.ended);
      await supervised;
    },
  };
}

interface Running {
  readonly child: ChildProcess;
  readonly url: string;
  readonly ended: Promise<void>;
}

/** The secret goes over stdin, where no other process can read it; stdin's end is also what ends the runtime. */
async function startOnce(config: RuntimeConfig & { readonly port?: number }, log: SuiteLog): Promise<Running> {
  // Its own process group: Ctrl-C at the terminal is the launcher's to handle.
  const child = spawn(process.execPath, [SCRIPT], { stdio: ["pipe", "pipe", "pipe"], detached: true });
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  createInterface({ input: child.stderr }).on("line", (line) => log.write("sandbox", line));
  child.stdin.on("error", () => undefined);
  child.stdin.write(`${JSON.stringify(config)}\n`);
  const lines = createInterface({ input: child.stdout });
  try {
    const [line] = await Promise.race([
      once(lines, "line", { signal: AbortSignal.timeout(START_TIMEOUT_MS) }),
      ended.then(() => Promise.reject(new Error("it ended"))),
    ]);
    return { child, ended, url: readySchema.parse(JSON.parse(String(line))).url };
  } catch (cause) {
    await end(child, ended);
    throw new LaunchProblem(`The sandbox runtime did not start; ${log.file} says why.`, { cause });
  }
}

async function end(child: ChildProcess, ended: Promise<void>): Promise<void> {
  child.stdin?.end();
  const timer = setTimeout(() => child.kill("SIGKILL"), END_TIMEOUT_MS);
  await ended;
  clearTimeout(timer);
}
