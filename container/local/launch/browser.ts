import path from "node:path";
import { prepareBrowserBinding } from "../chrome/binding.ts";
import { findChrome } from "../chrome/chrome.ts";
import { startEgressProxy } from "../egress/proxy.ts";
import type { Ground } from "./ground.ts";

/** A browser that Miniflare can start, or the reason why there is none: everything else works without. */
export interface LocalBrowser {
  readonly isReady: boolean;
  /** For the banner. */
  readonly description: string;
  readonly env: Readonly<Record<string, string>>;
}

export async function prepareBrowser(ground: Ground): Promise<LocalBrowser> {
  const { dataDir, tempDir, allowedHosts, suiteOrigin, report, log, closers } = ground;
  const found = await findChrome({ dataDir, report, path: process.env["PATH"] ?? "" });
  if (!found.found) return noBrowser(found.problem);
  const { chrome } = found;
  const proxy = await startEgressProxy({
    mode: "browser",
    allowedHosts,
    suiteOrigin,
    socketPath: path.join(tempDir, "browser.sock"),
    log: (line) => log.write("browser egress", line),
  });
  closers.add(async () => await proxy.close());
  const binding = await prepareBrowserBinding({ dataDir, chrome, egressSocket: proxy.socketPath });
  if (!binding.ready) return noBrowser(binding.problem);
  return {
    isReady: true,
    description: `Chrome ${chrome.version} (${chrome.origin}; ${binding.isolation})`,
    env: binding.env,
  };
}

function noBrowser(problem: string): LocalBrowser {
  return { isReady: false, description: `none: ${problem}`, env: {} };
}
