import { type ChildProcess, spawn } from "node:child_process";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { inject } from "vitest";
import { readSuite, requestToken } from "../../container/local/running-suite.ts";
import { newDataFolder } from "./data-folder.ts";

const START = path.resolve(import.meta.dirname, "../../container/local/start.mjs");
const START_TIMEOUT_MS = 90_000;

export interface TestSuite {
  /** `http://localhost:41234` */
  readonly url: string;
  readonly dataDir: string;
  /** A personal access token of the local person, with all scopes unless told. */
  token(scopes?: readonly string[]): Promise<string>;
}

export interface OwnSuite extends TestSuite, AsyncDisposable {
  /** All that it has printed. */
  output(): string;
  readonly process: ChildProcess;
}

declare module "vitest" {
  interface ProvidedContext {
    readonly suite: { readonly url: string; readonly dataDir: string; readonly shortLived: ShortLivedToken };
  }
}

interface ShortLivedToken {
  readonly token: string;
  readonly expiresAtMs: number;
}

/** The suite that serves all e2e tests of a run; its files, tokens and sandboxes are shared with other tests. */
export function sharedSuite(): TestSuite & { readonly shortLived: ShortLivedToken } {
  const suite = inject("suite");
  return { ...suiteAt(suite), shortLived: suite.shortLived };
}

/** Starts a suite of one's own, the way `npm start` does, on a new data folder and a free port. */
export async function startSuite(
  args: readonly string[] = [],
  environment: Readonly<Record<string, string>> = {},
): Promise<OwnSuite> {
  const dataDir = await newDataFolder(path.join(tmpdir(), "pincer-suite-"));
  const started = spawnSuite(["--data", dataDir, ...args], environment);
  try {
    const url = await started.ready;
    return {
      ...suiteAt({ url, dataDir }),
      output: started.output,
      process: started.process,
      [Symbol.asyncDispose]: async () => {
        await started.end();
        await rm(dataDir, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await started.end();
    await rm(dataDir, { recursive: true, force: true });
    throw error;
  }
}

export interface SpawnedSuite {
  readonly process: ChildProcess;
  /** Rejects where the launcher ends without saying `ready`. */
  readonly ready: Promise<string>;
  readonly ended: Promise<number>;
  output(): string;
  end(): Promise<void>;
}

/** The launcher as a process, on a free port unless told. */
export function spawnSuite(args: readonly string[], environment: Readonly<Record<string, string>> = {}): SpawnedSuite {
  const port = args.includes("--port") ? [] : ["--port", "0"];
  const child = spawn(process.execPath, [START, ...port, "--no-install", ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, PINCER_END_WITH_PARENT: "1", ...environment },
  });
  let said = "";
  const ended = new Promise<number>((resolve) => child.once("close", (code) => resolve(code ?? 1)));
  const ready = new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`The suite is not ready:\n${said}`)), START_TIMEOUT_MS);
    const listen = (chunk: unknown): void => {
      said += String(chunk);
      const [, url] = /^ready (\S+)\n/m.exec(said) ?? [];
      if (url === undefined) return;
      clearTimeout(timer);
      resolve(url);
    };
    child.stdout.on("data", listen);
    child.stderr.on("data", listen);
    void ended.then((code) => {
      clearTimeout(timer);
      reject(new Error(`The suite ended with ${code}:\n${said}`));
    });
  });
  // Some tests look at the end alone.
  ready.catch(() => undefined);
  const end = async (): Promise<void> => {
    child.kill("SIGTERM");
    await ended;
  };
  return { process: child, ready, ended, output: () => said, end };
}

function suiteAt({ url, dataDir }: { readonly url: string; readonly dataDir: string }): TestSuite {
  return {
    url,
    dataDir,
    token: async (scopes) =>
      await requestToken(await readSuite(dataDir), { name: "test", ...(scopes === undefined ? {} : { scopes }) }),
  };
}
