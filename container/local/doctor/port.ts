import { readFile, readdir, readlink } from "node:fs/promises";
import type { Probe } from "../../../servers/admin/health/probe.ts";
import { findPort } from "../launch/port.ts";
import { LaunchProblem } from "../launch/problem.ts";
import type { SuiteFile } from "../running-suite.ts";

const LISTENING = "0A";

export function portProbe(port: number, suite: SuiteFile | undefined): Probe {
  return {
    name: "Port",
    failing: { says: `Port ${port} cannot be tried.`, todo: "Choose another with --port N." },
    run: async () => {
      if (suite !== undefined) return { state: "ok", says: `The suite has ${new URL(suite.url).port}.` };
      try {
        await findPort(port);
        return { state: "ok", says: port === 0 ? "Some port is free." : `${port} is free.` };
      } catch (failure) {
        if (!(failure instanceof LaunchProblem)) throw failure;
        const owner = await ownerOf(port);
        return { state: "broken", says: failure.message, ...(owner === undefined ? {} : { todo: `It is ${owner}.` }) };
      }
    },
  };
}

/** The program that listens there, `node (process 4711)`; nothing where the system does not tell whoever asks. */
export async function ownerOf(port: number): Promise<string | undefined> {
  const sockets = new Set((await listeningSockets(port)).map((inode) => `socket:[${inode}]`));
  const pids = (await readdir("/proc").catch(() => [])).filter((name) => /^\d+$/.test(name));
  for (const pid of sockets.size === 0 ? [] : pids) {
    const handles = await readdir(`/proc/${pid}/fd`).catch(() => []);
    for (const handle of handles) {
      const target = await readlink(`/proc/${pid}/fd/${handle}`).catch(() => "");
      if (!sockets.has(target)) continue;
      const name = (await readFile(`/proc/${pid}/comm`, "utf8").catch(() => "a program")).trim();
      return `${name} (process ${pid})`;
    }
  }
  return undefined;
}

/** The inodes of the sockets that listen on the port (proc(5), /proc/net/tcp). */
async function listeningSockets(port: number): Promise<string[]> {
  const tables = await Promise.all(
    ["/proc/net/tcp", "/proc/net/tcp6"].map(async (file) => await readFile(file, "utf8").catch(() => "")),
  );
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  return tables
    .flatMap((table) => table.split("\n"))
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local, , state]) => local?.endsWith(`:${hex}`) === true && state === LISTENING)
    .flatMap((fields) => fields[9] ?? []);
}
