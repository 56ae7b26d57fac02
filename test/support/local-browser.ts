import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { prepareBrowserBinding } from "../../container/local/chrome/binding.ts";
import { findChrome } from "../../container/local/chrome/chrome.ts";
import { startEgressProxy } from "../../container/local/egress/proxy.ts";
import { CACHE } from "./data-folder.ts";

/** What a suite needs to have a browser: Chrome as `npm start` finds it, behind an egress proxy. */
export interface LocalBrowser extends AsyncDisposable {
  readonly env: Readonly<Record<string, string>>;
}

export async function prepareBrowser(allowedHosts: readonly string[], suiteOrigin: string): Promise<LocalBrowser> {
  const found = await findChrome({ dataDir: CACHE, report: () => undefined, path: process.env["PATH"] ?? "" });
  if (!found.found) throw new Error(found.problem);
  const folder = await mkdtemp(join(tmpdir(), "browser-"));
  const socketPath = join(folder, "egress.sock");
  const proxy = await startEgressProxy({
    mode: "browser",
    ...{ allowedHosts, suiteOrigin, socketPath },
    log: () => undefined,
  });
  const prepared = await prepareBrowserBinding({ dataDir: folder, chrome: found.chrome, egressSocket: socketPath });
  if (!prepared.ready) throw new Error(prepared.problem);
  return {
    env: prepared.env,
    [Symbol.asyncDispose]: async () => {
      await proxy.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
