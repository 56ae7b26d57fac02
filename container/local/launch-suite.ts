import { randomInt } from "node:crypto";
import path from "node:path";
import { startEgressProxy } from "./egress-proxy.ts";
import { prepareBrowser } from "./launch-browser.ts";
import { type DataFolder, newSecret, openDataFolder } from "./launch-data.ts";
import { openLog } from "./launch-log.ts";
import type { LaunchOptions } from "./launch-options.ts";
import { findPort } from "./launch-port.ts";
import { LaunchProblem } from "./launch-problem.ts";
import { startSandboxRuntime } from "./launch-runtime.ts";
import { checkSettings, readUserSettings } from "./launch-settings.ts";
import { openTempFolder } from "./launch-temp.ts";
import { isServing } from "./running-suite.ts";
import { loadWorker } from "./worker-host-bundle.ts";
import { startWorker } from "./worker-host.ts";

export interface RunningSuite {
  readonly url: string;
  readonly signInCode: string;
  readonly driver: string;
  readonly browser: string;
  readonly model: string;
  readonly dataDir: string;
  readonly logFile: string;
}

/** What has been started and must be ended, in that order. */
export interface Closers {
  add(close: () => Promise<void>): void;
}

/** Starts every part on the data folder and resolves when the suite answers. */
export async function startSuite(options: LaunchOptions, closers: Closers, report: (line: string) => void): Promise<RunningSuite> {
  const data = await openDataFolder(options.dataDir);
  closers.add(data.close);
  const log = openLog(data.path);
  const listening = await findPort(options.port);
  const url = `http://localhost:${listening.port}`;
  const temp = await openTempFolder(data.path);
  closers.add(temp.close);
  process.env["TMPDIR"] = temp.path;

  const { allowedHosts } = options;
  const network = { allowedHosts, suiteOrigin: url };
  const runtimeSecret = newSecret();
  const startRuntime = async () => {
    const proxy = await startEgressProxy({
      ...network,
      mode: "sandbox",
      socketPath: path.join(temp.path, "sandbox.sock"),
      log: (line) => log.write("sandbox", line),
    });
    closers.add(proxy.close);
    const runtime = await startSandboxRuntime(
      { dataDir: data.path, secret: runtimeSecret, allowedHosts, egressSocket: proxy.socketPath },
      log,
    );
    closers.add(runtime.close);
    return runtime;
  };
  const [worker, runtime, browser] = await Promise.all([
    loadWorker(report),
    startRuntime(),
    prepareBrowser({ ...network, dataDir: data.path, tempDir: temp.path, report, log }),
  ]);
  closers.add(browser.close);

  const settings = await makeSettings(data, { url, allowedHosts, runtimeUrl: runtime.url, runtimeSecret });
  const host = await startWorker({
    worker,
    settings,
    listening,
    log,
    stateDir: path.join(data.path, "state"),
    env: browser.env,
    hasBrowser: browser.isReady,
  });
  closers.add(host.close);
  if (!(await isServing(url))) throw new LaunchProblem(`The Worker does not answer at ${url}; ${log.file} says why.`);
  const { LOCAL_ADMIN_SECRET: adminSecret, LOCAL_SIGN_IN_CODE: signInCode } = settings;
  await data.announce({ url, adminSecret, pid: process.pid, startedAt: new Date().toISOString() });
  return {
    url,
    signInCode,
    driver: "local",
    browser: browser.description,
    model: describeModel(settings),
    dataDir: data.path,
    logFile: log.file,
  };
}

interface Facts {
  readonly url: string;
  readonly allowedHosts: readonly string[];
  readonly runtimeUrl: string;
  readonly runtimeSecret: string;
}

async function makeSettings(data: DataFolder, { url, allowedHosts, runtimeUrl, runtimeSecret }: Facts) {
  const settings = {
    ...(await readUserSettings(process.env)),
    PUBLIC_URL: url,
    IDENTITY: "local",
    LOCAL_SIGN_IN_CODE: newSignInCode(),
    LOCAL_ADMIN_SECRET: newSecret(),
    SIGNING_SECRET: data.secrets.signingSecret,
    SANDBOX_DRIVER: "local",
    LOCAL_RUNTIME_URL: runtimeUrl,
    LOCAL_RUNTIME_SECRET: runtimeSecret,
    ALLOWED_HOSTS: allowedHosts.join(","),
  };
  checkSettings(settings);
  return settings;
}

/** No vowels, no digits that look like letters: easy to copy by eye, and it spells nothing. */
const CODE_ALPHABET = "BCDFGHJKLMNPQRSTVWXZ2456789";

function newSignInCode(): string {
  const letter = (): string => CODE_ALPHABET.charAt(randomInt(CODE_ALPHABET.length));
  const group = (): string => Array.from({ length: 4 }, letter).join("");
  return `${group()}-${group()}`;
}

function describeModel(settings: Readonly<Record<string, string>>): string {
  if (settings["AI_GATEWAY_ID"] !== undefined) return `AI Gateway ${settings["AI_GATEWAY_ID"]}`;
  const { MODEL_BASE_URL: baseUrl } = settings;
  return baseUrl === undefined ? "none: set MODEL_BASE_URL and MODEL_API_KEY (see the README)" : new URL(baseUrl).host;
}
