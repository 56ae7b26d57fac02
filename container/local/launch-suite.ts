import path from "node:path";
import * as z from "zod";
import { startEgressProxy } from "./egress-proxy.ts";
import { type LocalBrowser, prepareBrowser } from "./launch-browser.ts";
import { type Child, startChild } from "./launch-child.ts";
import { openDataFolder } from "./launch-data.ts";
import { type SuiteLog, openLog } from "./launch-log.ts";
import type { LaunchOptions } from "./launch-options.ts";
import { type Listening, findPort } from "./launch-port.ts";
import { LaunchProblem } from "./launch-problem.ts";
import { type LocalSettings, checkSettings, describeModel, makeSettings } from "./launch-settings.ts";
import { openTempFolder } from "./launch-temp.ts";
import { isServing } from "./running-suite.ts";
import type { WorkerConfig } from "./worker-host-miniflare.ts";

export interface RunningSuite {
  readonly url: string;
  readonly signInCode: string;
  readonly driver: string;
  readonly browser: string;
  readonly model: string;
  readonly dataDir: string;
  readonly logFile: string;
}

/** How to end what has been started. */
export interface Closers {
  add(close: () => Promise<void>): void;
}

/** What every part of the suite is started with. */
interface Ground {
  readonly dataDir: string;
  readonly tempDir: string;
  readonly network: { readonly allowedHosts: readonly string[]; readonly suiteOrigin: string };
  readonly log: SuiteLog;
  readonly report: (line: string) => void;
  readonly closers: Closers;
}

const RUNTIME_TIMEOUT_MS = 20_000;
/** A first start bundles the Worker. */
const WORKER_TIMEOUT_MS = 60_000;

/** Starts every part on the data folder and resolves when the suite answers. */
export async function startSuite(
  options: LaunchOptions,
  closers: Closers,
  report: (line: string) => void,
): Promise<RunningSuite> {
  const data = await openDataFolder(options.dataDir);
  closers.add(data.close);
  const log = openLog(data.path);
  const listening = await findPort(options.port);
  const url = `http://localhost:${listening.port}`;
  const temp = await openTempFolder(data.path);
  closers.add(temp.close);

  const { allowedHosts } = options;
  const network = { allowedHosts, suiteOrigin: url };
  const ground: Ground = { dataDir: data.path, tempDir: temp.path, network, log, report, closers };
  const settings = await makeSettings({ url, allowedHosts, signingSecret: data.secrets.signingSecret });
  // The parts start side by side; the Worker is told about the others when they are there.
  const browser = startBrowser(ground);
  const runtime = startRuntime(ground, settings);
  await Promise.all([browser, runtime, startWorker(ground, { settings, listening, browser, runtime })]);
  if (!(await isServing(url))) throw new LaunchProblem(`The Worker does not answer at ${url}; ${log.file} says why.`);

  const { LOCAL_ADMIN_SECRET: adminSecret, LOCAL_SIGN_IN_CODE: signInCode } = settings;
  await data.announce({ url, adminSecret, pid: process.pid, startedAt: new Date().toISOString() });
  const { description } = await browser;
  return {
    url,
    signInCode,
    driver: "local (bubblewrap)",
    browser: description,
    model: describeModel(settings),
    dataDir: data.path,
    logFile: log.file,
  };
}

async function startBrowser({ dataDir, tempDir, network, log, report, closers }: Ground): Promise<LocalBrowser> {
  const browser = await prepareBrowser({ ...network, dataDir, tempDir, report, log });
  closers.add(browser.close);
  return browser;
}

const runtimeReadySchema = z.object({ url: z.url() });

type SandboxRuntime = Child<z.output<typeof runtimeReadySchema>>;

async function startRuntime(ground: Ground, settings: LocalSettings): Promise<SandboxRuntime> {
  const { dataDir, tempDir, network, log, report, closers } = ground;
  const proxy = await startEgressProxy({
    ...network,
    mode: "sandbox",
    socketPath: path.join(tempDir, "sandbox.sock"),
    log: (line) => log.write("sandbox", line),
  });
  closers.add(async () => await proxy.close());
  const runtime = await startChild({
    script: "runtime.ts",
    name: "The sandbox runtime",
    config: async (first) => ({
      dataDir,
      secret: settings.LOCAL_RUNTIME_SECRET,
      allowedHosts: network.allowedHosts,
      egressSocket: proxy.socketPath,
      // The Worker knows one address.
      ...(first === undefined ? {} : { port: Number(new URL(first.url).port) }),
    }),
    ready: runtimeReadySchema,
    startTimeoutMs: RUNTIME_TIMEOUT_MS,
    env: { ...process.env, TMPDIR: tempDir },
    log,
    report,
  });
  closers.add(async () => await runtime.close());
  return runtime;
}

interface WorkerParts {
  readonly settings: LocalSettings;
  readonly listening: Listening;
  readonly browser: Promise<LocalBrowser>;
  readonly runtime: Promise<SandboxRuntime>;
}

async function startWorker(ground: Ground, { settings, listening, browser, runtime }: WorkerParts): Promise<void> {
  const { dataDir, tempDir, log, report, closers } = ground;
  const worker = await startChild({
    script: "worker-host.ts",
    name: "The Worker",
    config: async (): Promise<WorkerConfig> => {
      const [{ isReady: hasBrowser, env }, { ready }] = await Promise.all([browser, runtime]);
      const all = { ...settings, LOCAL_RUNTIME_URL: ready.url };
      checkSettings(all);
      return { ...listening, settings: all, env, hasBrowser, stateDir: path.join(dataDir, "state") };
    },
    ready: z.object({ isReady: z.literal(true) }),
    startTimeoutMs: WORKER_TIMEOUT_MS,
    env: { ...process.env, TMPDIR: tempDir },
    log,
    report,
  });
  closers.add(async () => await worker.close());
}
