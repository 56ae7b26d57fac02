import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Log, LogLevel, Miniflare, type V4WorkerOptions, convertV4MiniflareOptions } from "miniflare";
import { newSecret } from "../../container/local/launch/data.ts";
import { findPort } from "../../container/local/launch/port.ts";
import { makeSettings } from "../../container/local/launch/settings.ts";
import { requestToken } from "../../container/local/running-suite.ts";
import { startRuntime } from "../../container/local/runtime.ts";
import { loadWorker } from "../../container/local/worker-host/bundle.ts";
import { prepareBrowser } from "./local-browser.ts";
import type { RulesOrder } from "./rules-order.ts";
import { bundleWorker } from "./bundle-worker.ts";

/** The real Worker, sandboxes and browser on this machine, with a hand on what pages decide. */
export interface RuledSuite extends AsyncDisposable {
  readonly url: string;
  token(): Promise<string>;
  /** `done`, or the error. */
  rule(what: RulesOrder["do"], text?: string): Promise<string>;
  /** Kills the Worker in the middle of whatever it does, and starts it on the same disk. */
  killAndRestart(): Promise<void>;
}

const WORKER = "pincer";
const RULES = "rules";

export async function startRuledSuite(environment: Readonly<Record<string, string>>): Promise<RuledSuite> {
  const folder = await mkdtemp(path.join(tmpdir(), "pincer-ruled-"));
  const { port } = await findPort(0);
  const url = `http://localhost:${port}`;
  const browser = await prepareBrowser([`localhost:${port}`], url);
  const before = { ...process.env };
  Object.assign(process.env, browser.env);
  const made = await makeSettings({ environment, url, allowedHosts: [], signingSecret: newSecret() });
  const runtime = await startRuntime({
    dataDir: path.join(folder, "runtime"),
    secret: made.LOCAL_RUNTIME_SECRET,
    log: () => undefined,
  });
  const settings = { ...made, LOCAL_RUNTIME_URL: runtime.url };
  const worker = await loadWorker(() => undefined);
  const script = await bundleWorker(path.join(import.meta.dirname, "rules-worker.ts"));
  const start = (): Miniflare =>
    new Miniflare(
      convertV4MiniflareOptions({
        log: new Log(LogLevel.NONE),
        handleStructuredLogs: () => undefined,
        telemetry: { enabled: false },
        cf: false,
        host: "127.0.0.1",
        port,
        resourcePersistencePath: path.join(folder, "state"),
        workers: [
          { ...worker, name: WORKER, bindings: { ...worker.bindings, ...settings } },
          rulesWorker(script, settings),
        ],
      }),
    );
  let miniflare = start();
  await miniflare.ready;
  const suite = { url, adminSecret: made.LOCAL_ADMIN_SECRET, pid: process.pid, startedAt: new Date().toISOString() };
  return {
    url,
    token: async () => await requestToken(suite, { name: "test" }),
    rule: async (what, text = "") => {
      const rules = await miniflare.getWorker(RULES);
      const order: RulesOrder = { do: what, text };
      const response = await rules.fetch("http://rules/", { method: "POST", body: JSON.stringify(order) });
      return await response.text();
    },
    killAndRestart: async () => {
      await miniflare.dispose();
      miniflare = start();
      await miniflare.ready;
    },
    [Symbol.asyncDispose]: async () => {
      await miniflare.dispose();
      await runtime.close();
      await browser[Symbol.asyncDispose]();
      process.env = before;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** On the real Worker's objects, which are its own to run. */
function rulesWorker(script: string, bindings: Readonly<Record<string, string>>): V4WorkerOptions {
  const of = (className: string) => ({ className, scriptName: WORKER, useSQLite: true });
  return {
    name: RULES,
    modules: true,
    script,
    compatibilityDate: "2026-11-01",
    compatibilityFlags: ["nodejs_compat", "global_fetch_strictly_public"],
    bindings,
    durableObjects: {
      ACCOUNT: of("Account"),
      DIRECTORY: of("Directory"),
      SANDBOX: of("Sandbox"),
      SANDBOX_SNAPSHOTS: of("SandboxSnapshots"),
      BROWSER_SESSION: of("BrowserSession"),
      DELEGATE_RUN: of("DelegateRun"),
    },
    r2Buckets: { FILES: "pincer-files", SNAPSHOTS: "pincer-snapshots" },
  };
}
