import type { SandboxStatus } from "../../../servers/sandbox/driver.ts";
import { diskUse, measureFolders } from "./disk.ts";
import type { Limits } from "./limits.ts";
import type { Running } from "./sandbox.ts";
import { descendants, memoryUse } from "./watch.ts";

/** What it costs is for the driver to say. */
export type LocalStatus = Omit<SandboxStatus, "costUsd">;

export interface StatusOptions {
  readonly running: Running | undefined;
  readonly isStarting: boolean;
  /** What it keeps in the machine's own folders; none where it has a disk of its own, or nothing yet. */
  readonly folders: readonly string[];
  readonly limits: Limits;
}

/** A folder with millions of files takes longer, and its size stays unknown. */
const MEASURE_MS = 2_000;
/** bubblewrap's first process and the agent. */
const OWN_PROCESSES = 2;
const WATCHED_DISK =
  "The workspace's size is looked at four times a second: a fast writer can be some hundred megabytes over its limit before the sandbox's processes are ended.";
const WATCHED_MEMORY =
  "The kernel does not limit memory here: where it is used up, all of the sandbox's processes are ended.";

export async function statusOf({ running, isStarting, folders, limits }: StatusOptions): Promise<LocalStatus> {
  const used = folders.length === 0 ? await diskUse(running?.link.pid) : await watchedUse(folders, limits);
  const disk = used === undefined ? {} : { disk: used };
  const notes = folders.length === 0 ? [] : [WATCHED_DISK];
  if (running === undefined) return { driver: "local", state: isStarting ? "starting" : "asleep", ...disk, notes };
  const { cgroup, link, startedMs } = running;
  if (cgroup?.limits.memory !== true) notes.push(WATCHED_MEMORY);
  return {
    driver: "local",
    state: "running",
    uptimeMs: performance.now() - startedMs,
    ...disk,
    memory: { usedBytes: cgroup?.memoryBytes() ?? memoryUse(link.pid), limitBytes: limits.memoryBytes },
    processCount: Math.max(0, descendants(link.pid).length - OWN_PROCESSES),
    notes,
  };
}

async function watchedUse(folders: readonly string[], { diskBytes }: Limits): Promise<LocalStatus["disk"]> {
  const usedBytes = await measureFolders(folders, "bytes", MEASURE_MS);
  return usedBytes === undefined ? undefined : { usedBytes, limitBytes: diskBytes };
}
