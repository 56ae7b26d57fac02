import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The test Worker, its containers on an engine. */
export interface EngineWorker extends AsyncDisposable {
  readonly url: string;
}

/** Why no container can be run on this machine, or nothing. */
export function whyNoEngine(): string | undefined {
  const docker = process.env["WRANGLER_DOCKER_BIN"] ?? "docker";
  try {
    execFileSync(docker, ["info"], { stdio: "pipe", timeout: 10_000 });
    return undefined;
  } catch {
    return `no container engine answers \`${docker} info\``;
  }
}

/** `wrangler dev` on the test Worker. It builds the image, which may take minutes and a gigabyte. */
export async function startEngineWorker(): Promise<EngineWorker> {
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
    return { url: await readyUrl(child), [Symbol.asyncDispose]: stop };
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
