import path from "node:path";
import type { Finding } from "../../../servers/admin/health-report.ts";
import type { Probe } from "../../../servers/admin/health/probe.ts";
import { prepareBrowserBinding } from "../chrome/binding.ts";
import { bundledState } from "../chrome/bundled.ts";
import { type Chrome, findChrome } from "../chrome/chrome.ts";

/** Stands for the bundled Chrome that is not unpacked yet: what keeps it from the machine can be tried all the same. */
const PACKED: Chrome = { executable: "/bin/true", version: "", origin: "bundled", env: {}, folders: [] };

/** A Chrome, and how it would be kept from the machine. The bundled one is not unpacked for it. */
export function browserProbe(dataDir: string, scratchDir: string): Probe {
  return {
    name: "Browser",
    failing: { says: "Chrome could not be looked for.", todo: "Run npm start, which says why." },
    run: async () => {
      const chrome = await findWithoutUnpacking(dataDir);
      if (typeof chrome === "string") return none(chrome);
      const egressSocket = path.join(scratchDir, "browser.sock");
      const binding = await prepareBrowserBinding({ dataDir: scratchDir, chrome, egressSocket });
      if (!binding.ready) return none(binding.problem);
      const which =
        chrome === PACKED ? "the bundled one, unpacked by the first start" : `${chrome.version} (${chrome.origin})`;
      return { state: "ok", says: `Chrome ${which}; ${binding.isolation}.` };
    },
  };
}

/** The one that a start would take, or the reason why there is none. */
async function findWithoutUnpacking(dataDir: string): Promise<Chrome | string> {
  const where = { dataDir, report: () => undefined, path: process.env["PATH"] ?? "" };
  const system = await findChrome({ ...where, origin: "system" });
  if (system.found) return system.chrome;
  const state = process.platform === "linux" ? await bundledState(path.join(dataDir, "chrome")) : "missing";
  if (state === "packed") return PACKED;
  if (state === "missing") return system.problem;
  const bundled = await findChrome({ ...where, origin: "bundled" });
  return bundled.found ? bundled.chrome : bundled.problem;
}

function none(problem: string): Finding {
  return { state: "warning", says: "No page can be opened; everything but the browser works.", todo: problem };
}
