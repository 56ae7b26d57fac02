import path from "node:path";
import * as z from "zod";
import { type LocalBrowser, prepareBrowser } from "./browser.ts";
import { startChild } from "./child.ts";
import { STATE_FOLDER, openDataFolder } from "./data.ts";
import type { Closers, Ground } from "./ground.ts";
import { openLog } from "./log.ts";
import type { LaunchOptions } from "./options.ts";
import { type Listening, findPort } from "./port.ts";
import { LaunchProblem } from "./problem.ts";
import { type LocalRuntime, startSandboxRuntime } from "./runtime.ts";
import { checkSettings, describeModel, makeSettings, settingsOfWorker } from "./settings.ts";
import { openTempFolder } from "./temp.ts";
import { isServing } from "../running-suite.ts";
import type { WorkerConfig } from "../worker-host/miniflare.ts";

export interface RunningSuite {
  /** `http://localhost:8717` */
  readonly url: string;
  readonly signInCode: string;
  readonly driver: string;
  readonly browser: string;
  readonly model: string;
  readonly dataDir: string;
  readonly logFile: string;
}

/** A first start bundles the Worker. */
const WORKER_TIMEOUT_MS = 60_000;
/** Long, for a machine that is busy with something else. */
const ANSWER_TIMEOUT_MS = 30_000;

/** Starts every part on the data folder and resolves when the suite answers. */
export async function startSuite(
  options: LaunchOptions,
  userSettings: Readonly<NodeJS.ProcessEnv>,
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
  const ground = {
    dataDir: data.path,
    tempDir: temp.path,
    env: { ...process.env, TMPDIR: temp.path },
    allowedHosts,
    suiteOrigin: url,
    log,
    report,
    closers,
  };
  const { signingSecret } = data.secrets;
  const settings = await makeSettings({ environment: userSettings, url, allowedHosts, signingSecret });
  // Before anything takes long; the runtime's address is no choice of the user's, so that any will do here.
  const { SANDBOX_SECRETS: hostSecrets } = checkSettings({ ...settings, LOCAL_RUNTIME_URL: url });
  // The parts start side by side; the Worker is told about the others when they are there.
  const browser = prepareBrowser(ground);
  const runtime = startSandboxRuntime(ground, {
    secret: settings.LOCAL_RUNTIME_SECRET,
    insideSecret: settings.LOCAL_INSIDE_SECRET,
    hostSecrets,
    driver: options.driver,
  });
  await Promise.all([
    browser,
    runtime,
    startWorker(ground, { settings: settingsOfWorker(settings), listening, browser, runtime }),
  ]);
  if (!(await isServing(url, ANSWER_TIMEOUT_MS)))
    throw new LaunchProblem(`The Worker does not answer at ${url}; ${log.file} says why.`);

  const { LOCAL_ADMIN_SECRET: adminSecret, LOCAL_SIGN_IN_CODE: signInCode } = settings;
  await data.announce({ url, adminSecret, pid: process.pid, startedAt: new Date().toISOString() });
  return {
    url,
    signInCode,
    driver: (await runtime).description,
    browser: (await browser).description,
    model: describeModel(settings),
    dataDir: data.path,
    logFile: log.file,
  };
}

interface WorkerParts {
  readonly settings: Readonly<Record<string, string>>;
  readonly listening: Listening;
  readonly browser: Promise<LocalBrowser>;
  readonly runtime: Promise<LocalRuntime>;
}

async function startWorker(ground: Ground, { settings, listening, browser, runtime }: WorkerParts): Promise<void> {
  const { dataDir, env, log, report, closers } = ground;
  const worker = await startChild({
    script: "worker-host/worker-host.ts",
    name: "The Worker",
    config: async (): Promise<WorkerConfig> => {
      const [{ isReady: hasBrowser, env: browserEnv }, { url }] = await Promise.all([browser, runtime]);
      const all = { ...settings, LOCAL_RUNTIME_URL: url };
      return { ...listening, settings: all, env: browserEnv, hasBrowser, stateDir: path.join(dataDir, STATE_FOLDER) };
    },
    ready: z.object({ isReady: z.literal(true) }),
    startTimeoutMs: WORKER_TIMEOUT_MS,
    env,
    log,
    report,
  });
  closers.add(async () => await worker.close());
}
