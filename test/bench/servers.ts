import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import type { V4WorkerOptions } from "miniflare";
import { findPort } from "../../container/local/launch/port.ts";
import { newSecret } from "../../container/local/launch/data.ts";
import { makeSettings } from "../../container/local/launch/settings.ts";
import { readSuite, requestToken } from "../../container/local/running-suite.ts";
import { loadWorker } from "../../container/local/worker-host/bundle.ts";
import { startWorker } from "../../container/local/worker-host/miniflare.ts";
import { spawnSuite } from "../support/suite.ts";
import { hangUp } from "./load.ts";
import type { Door } from "./mcp-requests.ts";

export interface OpenDoor extends AsyncDisposable {
  readonly door: Door;
}

/** All of it on that data folder, as `npm start` starts it; `launcher` is the id of the first of its processes. */
export async function startWholeSuite(
  dataDir: string,
  args: readonly string[] = [],
  environment: Readonly<Record<string, string>> = {},
): Promise<OpenDoor & { readonly launcher: number | undefined }> {
  const suite = spawnSuite(["--data", dataDir, ...args], environment);
  const mcpUrl = new URL("/mcp", await suite.ready);
  return {
    door: { mcpUrl, token: await requestToken(await readSuite(dataDir), { name: "bench" }) },
    launcher: suite.process.pid,
    [Symbol.asyncDispose]: async () => {
      hangUp();
      await suite.end();
    },
  };
}

export interface BareWorker extends OpenDoor {
  readonly url: string;
  /** What the consent page asks for. */
  readonly signInCode: string;
  readonly newToken: () => Promise<string>;
}

/** The product's Worker alone in workerd, without the sandbox runtime and the browser beside it. */
export async function startBareWorker(bundled?: V4WorkerOptions): Promise<BareWorker> {
  const stateDir = await mkdtemp(path.join(tmpdir(), "pincer-bench-"));
  const listening = await findPort(0);
  const url = `http://localhost:${listening.port}`;
  const settings = await makeSettings({
    environment: { ...process.env },
    url,
    allowedHosts: [],
    signingSecret: newSecret(),
  });
  const environment = { ...process.env };
  const worker = await startWorker(bundled ?? (await loadWorker(() => undefined)), {
    ...listening,
    settings: { ...settings, LOCAL_RUNTIME_URL: "http://127.0.0.1:9" },
    stateDir,
    env: {},
    hasBrowser: false,
  });
  // It tells Miniflare by way of this process's environment which workerd to start: nobody else is to be told.
  process.env = environment;
  const { LOCAL_ADMIN_SECRET: adminSecret, LOCAL_SIGN_IN_CODE: signInCode } = settings;
  const running = { url, adminSecret, pid: process.pid, startedAt: new Date().toISOString() };
  const newToken = async (): Promise<string> => await requestToken(running, {});
  return {
    ...{ url, signInCode, newToken },
    door: { mcpUrl: new URL("/mcp", url), token: await newToken() },
    [Symbol.asyncDispose]: async () => {
      await worker.close();
      await rm(stateDir, { recursive: true, force: true });
    },
  };
}

/** The bare Node server, with the tools of `listing`, a result of `tools/list`. */
export async function startBareNode(listing: string): Promise<AsyncDisposable & { example: Door; floor: Door }> {
  const folder = await mkdtemp(path.join(tmpdir(), "pincer-bench-"));
  const child = spawn(process.execPath, [path.join(import.meta.dirname, "bare-server.ts")], {
    env: { ...process.env, BARE_SERVER_FOLDER: folder },
    stdio: ["pipe", "pipe", "inherit"],
  });
  child.stdin.end(listing);
  const [line] = await once(createInterface({ input: child.stdout }), "line");
  const port = /^listening (\d+)$/.exec(String(line))?.[1];
  if (port === undefined) throw new Error(`The bare server said: ${line}`);
  return {
    example: { mcpUrl: new URL(`http://127.0.0.1:${port}/mcp`) },
    floor: { mcpUrl: new URL(`http://127.0.0.1:${port}/floor`) },
    [Symbol.asyncDispose]: async () => {
      child.kill();
      await once(child, "exit");
      await rm(folder, { recursive: true, force: true });
    },
  };
}
