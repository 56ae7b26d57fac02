import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, test } from "vitest";
import type { Sandbox } from "../../servers/sandbox/driver.ts";
import { describeSandbox } from "../support/sandbox-contract.ts";
import { describeFaults } from "../support/sandbox-faults.ts";
import { remoteSandbox } from "./remote-sandbox.ts";

/** Building the image and fetching its base. */
const START_MS = 15 * 60_000;
const TEST_MS = 120_000;
/** As in wrangler.jsonc. */
const WORKER_SECRET = "only-for-tests-only-for-tests-only-for-tests";

const engine = findEngine();

if (engine.isThere) {
  let dev: DevServer;
  beforeAll(async () => (dev = await startDev()), START_MS);
  afterAll(async () => await dev.stop(), TEST_MS);
  const used: Sandbox[] = [];
  // Each is a container: a developer's machine has no room for a hundred.
  afterEach(async () => await Promise.all(used.splice(0).map(async (sandbox) => await sandbox.reset())), TEST_MS);
  const subject = {
    open: async () => {
      const opened = remoteSandbox(dev.url, `u${crypto.randomUUID().replaceAll("-", "")}`);
      used.push(opened.sandbox);
      return await Promise.resolve(opened);
    },
    timeoutMs: TEST_MS,
    secrets: () => [WORKER_SECRET],
  };
  describeSandbox("container", subject);
  // An engine limits neither processes, memory nor disk: what has no limit would take the machine's.
  describeFaults("container", subject, { disk: { folder: "/dev/shm", bytes: 64 * 1024 ** 2 } });
} else {
  describe("container", () => {
    test.skip(`keeps the sandbox's promises (skipped: ${engine.reason})`, () => undefined);
  });
}

interface DevServer {
  readonly url: string;
  stop(): Promise<void>;
}

/** Fetching and building the image takes minutes and a gigabyte: only where that is asked for. */
function findEngine(): { readonly isThere: true } | { readonly isThere: false; readonly reason: string } {
  if (process.env["PINCER_TEST_CONTAINER"] === undefined) {
    return { isThere: false, reason: "npm run test:container runs it on a container engine" };
  }
  const docker = process.env["WRANGLER_DOCKER_BIN"] ?? "docker";
  try {
    execFileSync(docker, ["info"], { stdio: "pipe", timeout: 10_000 });
    return { isThere: true };
  } catch {
    return { isThere: false, reason: `no container engine answers \`${docker} info\`` };
  }
}

/** `wrangler dev` on the test Worker: it builds the image and runs the containers on the engine. */
async function startDev(): Promise<DevServer> {
  const state = await mkdtemp(join(tmpdir(), "container-test-"));
  const child = spawn(
    process.execPath,
    [
      join(dirname(fileURLToPath(import.meta.resolve("wrangler/package.json"))), "bin/wrangler.js"),
      "dev",
      "--config",
      join(import.meta.dirname, "wrangler.jsonc"),
      "--port=0",
      "--inspector-port=0",
      `--persist-to=${state}`,
      "--show-interactive-dev-session=false",
    ],
    { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, WRANGLER_SEND_METRICS: "false", NO_COLOR: "1" } },
  );
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGTERM");
      await once(child, "exit");
    }
    await rm(state, { recursive: true, force: true });
  };
  try {
    return { url: await readyUrl(child), stop };
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
