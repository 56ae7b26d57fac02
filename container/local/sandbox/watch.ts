import { readdirSync, readFileSync } from "node:fs";
import { statfs } from "node:fs/promises";
import type { SandboxCgroup } from "./cgroups.ts";
import { measureFolders } from "./disk.ts";
import type { Limits } from "./limits.ts";

export interface WatchOptions {
  readonly pid: number;
  readonly limits: Limits;
  readonly cgroup: SandboxCgroup | undefined;
  /** On the machine's disk, which is watched. */
  readonly folders: readonly string[];
  /** The kernel sees to it that the folders do not grow beyond what they may. */
  readonly isDiskLimited: boolean;
  /** Called once, with a sentence for the caller. */
  readonly onBreach: (reason: string) => void;
}

const EVERY_MS = 250;
const CROWDED_SHARE = 0.9;
/** A short rush of processes is no fork bomb. */
const CROWDED_TICKS = 4;
const MIB = 1024 * 1024;
/** The disk is measured again when this much of it has gone. */
const DISK_STEP_BYTES = 128 * MIB;
const DISK_STEP_FILES = 20_000;
/** Whatever the limits say, the machine keeps this. */
const DISK_RESERVE_BYTES = 512 * MIB;

/**
 * Ends a sandbox that takes too much of what the kernel does not limit for us: disk where it has none of its own,
 * memory where there are no cgroups. It looks four times a second, so that a writer at 1 GB/s can be a few hundred megabytes over.
 */
export function watchSandbox(options: WatchOptions): { stop(): void } {
  const { limits, cgroup, onBreach } = options;
  const disk = watchDisk(options);
  let crowdedTicks = 0;
  let isBusy = false;
  let isStopped = false;

  const check = async (): Promise<string | undefined> => {
    const { processes, memoryBytes } = usage(options.pid, cgroup);
    crowdedTicks = processes >= limits.maxProcesses * CROWDED_SHARE ? crowdedTicks + 1 : 0;
    if (crowdedTicks >= CROWDED_TICKS) {
      return `The sandbox was full of processes (${limits.maxProcesses} are allowed); all of them were ended and it was started afresh.`;
    }
    if (memoryBytes > limits.memoryBytes) {
      return `The sandbox used more than ${Math.round(limits.memoryBytes / MIB)} MB of memory; its processes were ended and it was started afresh.`;
    }
    return await disk();
  };

  const look = async (): Promise<void> => {
    const reason = await check();
    if (reason === undefined || isStopped) return;
    stop();
    onBreach(reason);
  };

  const timer = setInterval(() => {
    if (isBusy) return;
    isBusy = true;
    look()
      .catch((error: unknown) => {
        stop();
        onBreach(`The sandbox could no longer be watched (${String(error)}).`);
      })
      .finally(() => (isBusy = false));
  }, EVERY_MS);
  timer.unref();
  const stop = (): void => {
    isStopped = true;
    clearInterval(timer);
  };
  return { stop };
}

function watchDisk({ folders, limits, isDiskLimited }: WatchOptions): () => Promise<string | undefined> {
  let last: { readonly bytes: number; readonly files: number } | undefined;
  let allowedBytes = limits.diskBytes;
  return async () => {
    const now = await free(folders[0] ?? "/");
    const isFirst = last === undefined;
    const grew =
      last === undefined || last.bytes - now.bytes > DISK_STEP_BYTES || last.files - now.files > DISK_STEP_FILES;
    if (!grew) {
      if (last !== undefined) last = { bytes: Math.max(last.bytes, now.bytes), files: Math.max(last.files, now.files) };
      return undefined;
    }
    last = now;
    const used = isDiskLimited ? { bytes: 0, files: 0 } : await measure(folders);
    // A workspace that is too full already may be tidied up, and not grow.
    if (isFirst) allowedBytes = Math.max(limits.diskBytes, used.bytes + DISK_STEP_BYTES);
    if (used.bytes > allowedBytes) {
      return `The workspace grew past ${Math.round(limits.diskBytes / MIB)} MB; the sandbox's processes were ended. Delete files to go on.`;
    }
    if (used.files > limits.diskFiles) {
      return `The workspace holds more than ${limits.diskFiles} files; the sandbox's processes were ended. Delete files to go on.`;
    }
    if (now.bytes < DISK_RESERVE_BYTES && !isFirst) {
      return "The machine's disk is almost full; the sandbox's processes were ended. Make room on the disk to go on.";
    }
    return undefined;
  };
}

async function measure(folders: readonly string[]): Promise<{ bytes: number; files: number }> {
  return {
    bytes: (await measureFolders(folders, "bytes")) ?? 0,
    files: (await measureFolders(folders, "files")) ?? 0,
  };
}

async function free(folder: string): Promise<{ bytes: number; files: number }> {
  const { bavail, bsize, ffree } = await statfs(folder);
  return { bytes: bavail * bsize, files: ffree };
}

/** What a sandbox uses now, of what its cgroup does not limit. */
function usage(pid: number, cgroup: SandboxCgroup | undefined): { processes: number; memoryBytes: number } {
  if (cgroup !== undefined && cgroup.limits.memory && cgroup.limits.pids)
    return { processes: cgroup.processes(), memoryBytes: 0 };
  const seen = descendants(pid);
  const processes = seen.reduce((total, process) => total + process.threads, 0);
  return { processes, memoryBytes: cgroup?.limits.memory === true ? 0 : memoryUse(pid, seen) };
}

/** The memory of everything that a process has started. */
export function memoryUse(pid: number, seen: readonly Seen[] = descendants(pid)): number {
  const memory = seen.map((process) => memoryOf(process.pid));
  const own = memory.reduce((total, { ownBytes }) => total + ownBytes, 0);
  // What is shared is shared among them: the largest share is counted, once.
  return own + Math.max(0, ...memory.map(({ sharedBytes }) => sharedBytes));
}

interface Seen {
  readonly pid: number;
  readonly threads: number;
}

/** Orphans in the sandbox belong to its first process, so that nobody leaves this tree. */
export function descendants(root: number): Seen[] {
  const children = new Map<number, Seen[]>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "latin1");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      const parent = Number(fields[1]);
      children.set(parent, [...(children.get(parent) ?? []), { pid: Number(name), threads: Number(fields[17]) }]);
    } catch {
      // It ended in the meantime.
    }
  }
  const found: Seen[] = [];
  for (let queue = [root]; queue.length > 0;) {
    const below = children.get(queue.pop() ?? 0) ?? [];
    found.push(...below);
    queue = queue.concat(below.map((process) => process.pid));
  }
  return found;
}

function memoryOf(pid: number): { ownBytes: number; sharedBytes: number } {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    const field = (name: string): number =>
      Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0) * 1024;
    return { ownBytes: field("RssAnon"), sharedBytes: field("RssShmem") };
  } catch {
    return { ownBytes: 0, sharedBytes: 0 };
  }
}
