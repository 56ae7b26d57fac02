import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { SandboxStatus } from "../../../servers/sandbox/driver.ts";
import type { Limits } from "./limits.ts";
import type { SandboxCgroup } from "./cgroups.ts";
import { diskUse } from "./disk.ts";
import type { RunningAgent } from "./enclosure.ts";
import { descendants, memoryUse } from "./watch.ts";

/** What it costs is for the driver to say. */
export type LocalStatus = Omit<SandboxStatus, "costUsd">;

export interface StatusOptions {
  readonly running: RunningAgent | "asleep" | "starting";
  readonly cgroup: SandboxCgroup | undefined;
  /** What it keeps in the machine's own folders; none where it has a disk of its own. */
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
  const hasOwnDisk = folders.length === 0;
  const link = typeof running === "object" ? running.link : undefined;
  const used = hasOwnDisk ? await diskUse(link?.pid) : await measureFolders(folders, limits);
  const disk = used === undefined ? {} : { disk: used };
  const notes = hasOwnDisk ? [] : [WATCHED_DISK];
  if (typeof running === "string") return { driver: "local", state: running, ...disk, notes };
  if (cgroup?.limits.memory !== true) notes.push(WATCHED_MEMORY);
  return {
    driver: "local",
    state: "running",
    uptimeMs: performance.now() - running.startedMs,
    ...disk,
    memory: { usedBytes: cgroup?.memoryBytes() ?? memoryUse(running.link.pid), limitBytes: limits.memoryBytes },
    processCount: Math.max(0, descendants(running.link.pid).length - OWN_PROCESSES),
    notes,
  };
}

/** By `du`, which follows no link however the folders change under it. */
async function measureFolders(folders: readonly string[], limits: Limits): Promise<LocalStatus["disk"]> {
  const args = ["-scx", "--block-size=1", "--", ...folders];
  const { stdout } = await promisify(execFile)("du", args, { timeout: MEASURE_MS }).catch(() => ({ stdout: "" }));
  const total = /^(\d+)\ttotal$/m.exec(stdout)?.[1];
  return total === undefined ? undefined : { usedBytes: Number(total), limitBytes: limits.diskBytes };
}
