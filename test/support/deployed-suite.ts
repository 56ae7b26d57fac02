import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import * as z from "zod";
import { startChild } from "../../container/local/launch/child.ts";
import { findPort } from "../../container/local/launch/port.ts";
import type { WorkerConfig } from "../../container/local/worker-host/miniflare.ts";
import { SecretWatch } from "./secret-watch.ts";

const START_TIMEOUT_MS = 90_000;

/** The real Worker in workerd, with settings as a deployed one has them; a sandbox and a browser where a test has some. */
export interface DeployedSuite extends AsyncDisposable {
  readonly url: string;
  /** All that it has logged. */
  log(): string;
  /** What must not be in that log: it is searched when the suite ends. */
  readonly watch: SecretWatch;
}

/** `settingsFor` is told the suite's origin. `browserEnv` is what Miniflare starts Chrome with. */
export async function startDeployedSuite(
  settingsFor: (url: string) => Promise<Readonly<Record<string, string>>>,
  browserEnv?: Readonly<Record<string, string>>,
): Promise<DeployedSuite> {
  const listening = await findPort(0);
  const url = `http://localhost:${listening.port}`;
  const stateDir = await mkdtemp(path.join(tmpdir(), "pincer-deployed-"));
  const settings: Readonly<Record<string, string>> = {
    PUBLIC_URL: url,
    SIGNING_SECRET: "s".repeat(40),
    SANDBOX_DRIVER: "local",
    LOCAL_RUNTIME_URL: "http://127.0.0.1:9",
    LOCAL_RUNTIME_SECRET: "r".repeat(40),
    ...(await settingsFor(url)),
  };
  let logged = "";
  const watch = new SecretWatch();
  for (const name of Object.keys(settings)) if (/SECRET|KEY|CODE/.test(name)) watch.add(settings[name]);
  const worker = await startChild({
    script: "worker-host/worker-host.ts",
    name: "The Worker",
    config: async (): Promise<WorkerConfig> => ({
      ...listening,
      settings,
      env: browserEnv ?? {},
      stateDir,
      hasBrowser: browserEnv !== undefined,
    }),
    ready: z.object({ isReady: z.literal(true) }),
    startTimeoutMs: START_TIMEOUT_MS,
    env: process.env,
    log: { file: "the log", write: (_who, text) => void (logged += `${text}\n`) },
    report: () => undefined,
  });
  return {
    url,
    log: () => logged,
    watch,
    [Symbol.asyncDispose]: async () => {
      await worker.close();
      await rm(stateDir, { recursive: true, force: true });
      watch.check(logged);
    },
  };
}
