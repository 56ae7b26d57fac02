import { statfs } from "node:fs/promises";
import type { Probe } from "../../../servers/admin/health/probe.ts";
import { inspectDataFolder, nearestFolder } from "../launch/data.ts";
import { LaunchProblem } from "../launch/problem.ts";

const GIGABYTE = 1024 ** 3;
/** The bundled Chrome alone takes 220 MB once it is unpacked. */
const LEAST_BYTES = 0.5 * GIGABYTE;
const FEW_BYTES = 4 * GIGABYTE;

export function dataProbe(dataDir: string): Probe {
  return {
    name: "Data folder",
    failing: { says: `${dataDir} cannot be looked at.`, todo: "Choose another one with --data DIR." },
    run: async () => {
      try {
        const isThere = await inspectDataFolder(dataDir);
        return { state: "ok", says: isThere ? `${dataDir} is sound.` : `${dataDir} is made by the first npm start.` };
      } catch (failure) {
        if (!(failure instanceof LaunchProblem)) throw failure;
        return { state: "broken", says: failure.message };
      }
    },
  };
}

export function diskProbe(dataDir: string): Probe {
  return {
    name: "Disk",
    failing: { says: "Nobody says how much room it has.", todo: "Look with df." },
    run: async () => {
      const { bavail, bsize } = await statfs(await nearestFolder(dataDir));
      const freeBytes = bavail * bsize;
      const says = `${(freeBytes / GIGABYTE).toFixed(1)} GB are free for the data folder.`;
      if (freeBytes >= FEW_BYTES) return { state: "ok", says };
      const todo = "Make room, or choose a folder on another disk with --data DIR.";
      return { state: freeBytes >= LEAST_BYTES ? "warning" : "broken", says, todo };
    },
  };
}
