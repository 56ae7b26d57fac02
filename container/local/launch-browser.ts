import path from "node:path";
import { prepareBrowserBinding } from "./chrome-binding.ts";
import { findChrome } from "./chrome.ts";
import { startEgressProxy } from "./egress-proxy.ts";
import type { SuiteLog } from "./launch-log.ts";

export interface BrowserOptions {
  readonly dataDir: string;
  readonly tempDir: string;
  readonly allowedHosts: readonly string[];
  readonly suiteOrigin: string;
  readonly report: (line: string) => void;
  readonly log: SuiteLog;
}

/** A browser that Miniflare can start, or the reason why there is none: everything else works without. */
export interface LocalBrowser {
  readonly isReady: boolean;
  /** For the banner. */
  readonly description: string;
  readonly env: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

export async function prepareBrowser(options: BrowserOptions): Promise<LocalBrowser> {
  const { dataDir, allowedHosts, suiteOrigin, report, log } = options;
  const found = await findChrome({ dataDir, report, path: process.env["PATH"] ?? "" });
  if (!found.found) return noBrowser(found.problem);
  const { chrome } = found;
  const proxy = await startEgressProxy({
    mode: "browser",
    allowedHosts,
    suiteOrigin,
    socketPath: path.join(options.tempDir, "browser.sock"),
    log: (line) => log.write("browser", line),
  });
  const binding = await prepareBrowserBinding({ dataDir, chrome, egressSocket: proxy.socketPath });
  if (!binding.ready) {
    await proxy.close();
    return noBrowser(binding.problem);
  }
  return {
    isReady: true,
    description: `Chrome ${chrome.version} (${chrome.origin}; ${binding.isolation})`,
    env: binding.env,
    close: async () => await proxy.close(),
  };
}

function noBrowser(problem: string): LocalBrowser {
  return { isReady: false, description: `none: ${problem}`, env: {}, close: async () => undefined };
}
