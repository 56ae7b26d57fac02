import type { SandboxStatus } from "../../../servers/sandbox/driver.ts";
import type { AgentLink } from "./agent-link.ts";
import { diskUse, measureFolders } from "./disk.ts";
import type { Limits } from "./limits.ts";
import type { SandboxCgroup } from "./cgroups.ts";
import type { RunningAgent } from "./enclosure.ts";
import { descendants, memoryUse } from "./watch.ts";

/** What it costs is for the driver to say. */
export type LocalStatus = Omit<SandboxStatus, "costUsd">;

export interface StatusOptions {
  readonly running: RunningAgent | "asleep" | "starting";
  readonly cgroup: SandboxCgroup | undefined;
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

export async function statusOf({ running, cgroup, folders, limits }: StatusOptions): Promise<LocalStatus> {
  const link = typeof running === "object" ? running.link : undefined;
  const used = folders.length === 0 ? await diskUse(link?.pid) : await watchedUse(folders, limits);
  const disk = used === undefined ? {} : { disk: used };
  const notes = folders.length === 0 ? [] : [WATCHED_DISK];
  if (typeof running === "string") return { driver: "local", state: running, ...disk, notes };
  if (cgroup?.limits.memory !== true) notes.push(WATCHED_MEMORY);
  return {
    driver: "local",
    state: "running",
    uptimeMs: performance.now() - running.startedMs,
    ...disk,
    memory: { usedBytes: cgroup?.memoryBytes() ?? memoryUse(running.link.pid), limitBytes: limits.memoryBytes },
    processCount: processCount(running.link),
    notes,
  };
}

/** The processes in a sandbox beside its agent. */
export function processCount({ pid }: AgentLink): number {
  return Math.max(0, descendants(pid).length - OWN_PROCESSES);
}

async function watchedUse(folders: readonly string[], { diskBytes }: Limits): Promise<LocalStatus["disk"]> {
  const usedBytes = await measureFolders(folders, "bytes", MEASURE_MS);
  return usedBytes === undefined ? undefined : { usedBytes, limitBytes: diskBytes };
}
