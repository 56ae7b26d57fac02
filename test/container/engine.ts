import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { release, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import * as z from "zod";

const DOCKER = process.env["WRANGLER_DOCKER_BIN"] ?? "docker";

/** A Worker, its containers on an engine. */
export interface EngineWorker extends AsyncDisposable {
  readonly url: string;
  /** The keys of what the bucket of snapshots holds below that one. */
  snapshotKeys(prefix: string): Promise<readonly string[]>;
  /** Stops every container of this Worker as the platform may at any time. */
  stopContainers(): Promise<void>;
}

/** Why tests run no container here, or nothing: to fetch and build the image takes its time, where nobody asked for it. */
export function whyNoContainers(): string | undefined {
  if (process.env["PINCER_TEST_CONTAINER"] !== undefined) return whyNoEngine();
  return "npm run test:container runs it on a container engine";
}

/** Why no container can be run on this machine, or nothing. */
export function whyNoEngine(): string | undefined {
  let securityOptions: string;
  try {
    const info = ["info", "--format={{json .SecurityOptions}}"];
    securityOptions = execFileSync(DOCKER, info, { stdio: "pipe", timeout: 10_000, encoding: "utf8" });
  } catch {
    return `no container engine answers \`${DOCKER} info\``;
  }
  // Where Miniflare gives a container /dev/fuse: nothing runs in one whose files are not mounted.
  const isOutside = process.platform === "darwin" || /microsoft/i.test(release());
  const mayMount = isOutside || (existsSync("/dev/fuse") && securityOptions.includes("rootless"));
  return mayMount ? undefined : "on Linux only a rootless engine's containers may mount files, and this one is not";
}

interface EngineOptions {
  /** Absolute; else the test Worker's. */
  readonly config?: string;
  /** Else a free one. */
  readonly port?: number;
  readonly env?: Readonly<Record<string, string>>;
}

/** `wrangler dev` on the test Worker or another. It builds the image, which may take minutes and a gigabyte. */
export async function startEngineWorker(
  settings: Readonly<Record<string, string>> = {},
  { config = join(import.meta.dirname, "wrangler.jsonc"), port = 0, env = {} }: EngineOptions = {},
): Promise<EngineWorker> {
  // Its containers have it in their names.
  const name = `pincer-test-${randomUUID().slice(0, 8)}`;
  const state = await mkdtemp(join(tmpdir(), "container-test-"));
  const child = spawn(
    process.execPath,
    [
      join(dirname(fileURLToPath(import.meta.resolve("wrangler/package.json"))), "bin/wrangler.js"),
      "dev",
      "--config",
      config,
      `--name=${name}`,
      `--port=${port}`,
      "--inspector-port=0",
      `--persist-to=${state}`,
      "--show-interactive-dev-session=false",
      ...Object.entries(settings).map(([setting, value]) => `--var=${setting}:${value}`),
    ],
    {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, WRANGLER_SEND_METRICS: "false", NO_COLOR: "1", ...env },
    },
  );
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGTERM");
      await once(child, "exit");
    }
    await rm(state, { recursive: true, force: true });
  };
  try {
    const url = await readyUrl(child);
    return {
      url,
      snapshotKeys: async (prefix) => {
        const response = await fetch(new URL(`/snapshots/${prefix}`, url));
        return z.array(z.string()).parse(await response.json());
      },
      stopContainers: async () => await killContainers(name),
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function readyUrl(child: ChildProcess): Promise<string> {
  let said = "";
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const listen = (chunk: unknown): void => {
    said += String(chunk);
    const url = /Ready on (http:\/\/\S+)/.exec(said)?.[1];
    if (url !== undefined) resolve(url);
  };
  child.stdout?.on("data", listen);
  child.stderr?.on("data", listen);
  child.once("exit", (code) => reject(new Error(`wrangler dev ended with ${code}:\n${said.slice(-4_000)}`)));
  return await promise;
}

/** Not what stands beside each of them for its connections: the engine's user ends it with its container. */
async function killContainers(name: string): Promise<void> {
  const run = promisify(execFile);
  const { stdout } = await run(DOCKER, ["ps", `--filter=name=${name}`, "--format={{.Names}}"]);
  const names = stdout.split("\n").filter((line) => line !== "" && !line.endsWith("-proxy"));
  // One that ends meanwhile is an error to the engine.
  await Promise.allSettled(names.map(async (container) => await run(DOCKER, ["kill", container])));
}
