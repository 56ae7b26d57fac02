import { mkdirSync, readFileSync, rmdirSync, writeFileSync, readdirSync, existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Limits } from "./limits.ts";

/** Kernel accounting for one sandbox. What is written to `procsFiles` is in it, with all its children. */
export interface SandboxCgroup {
  readonly procsFiles: readonly string[];
  readonly limitsMemory: boolean;
  /** How many threads are in it; nothing where they are not limited. */
  processes(): number | undefined;
  /** How often the kernel killed something in it because its memory was used up. */
  outOfMemoryKills(): number;
  remove(): Promise<void>;
}

const PREFIX = "pincer-";
const REMOVE_TRIES = 40;

/**
 * Makes a group for one sandbox under the runtime's own, as far as this machine lets it: version 1 and 2 are both
 * met, ordinary users mostly get neither. `undefined` where nothing can be limited.
 */
export function createCgroup(name: string, limits: Limits): SandboxCgroup | undefined {
  const folders = { memory: makeFolder("memory", name), pids: makeFolder("pids", name) };
  const memory = folders.memory !== undefined && limitMemory(folders.memory, limits.memoryBytes);
  const pids = folders.pids !== undefined && limit(folders.pids, "pids.max", limits.maxProcesses);
  const used = [...new Set([...(memory ? [folders.memory] : []), ...(pids ? [folders.pids] : [])])].filter(
    (folder) => folder !== undefined,
  );
  for (const folder of [folders.memory, folders.pids]) if (folder !== undefined && !used.includes(folder)) removeNow(folder);
  if (used.length === 0) return undefined;
  return {
    procsFiles: used.map((folder) => join(folder, "cgroup.procs")),
    limitsMemory: memory,
    processes: () => (pids && folders.pids !== undefined ? readNumber(join(folders.pids, "pids.current")) : undefined),
    outOfMemoryKills: () => (memory && folders.memory !== undefined ? countOutOfMemory(folders.memory) : 0),
    remove: async () => {
      for (const folder of used) {
        // The processes are dead but may not have been reaped yet.
        for (let tries = 0; !removeNow(folder) && tries < REMOVE_TRIES; tries++) await sleep(25);
      }
    },
  };
}

/** Removes what a runtime that was killed has left; a group in use cannot be removed. */
export function removeStaleCgroups(): void {
  for (const controller of ["memory", "pids"] as const) {
    const parent = findParent(controller);
    if (parent === undefined) continue;
    for (const name of readdirSync(parent)) if (name.startsWith(PREFIX)) removeNow(join(parent, name));
  }
}

function limitMemory(folder: string, bytes: number): boolean {
  if (existsSync(join(folder, "memory.max"))) {
    limit(folder, "memory.swap.max", 0);
    limit(folder, "memory.oom.group", 0);
    return limit(folder, "memory.max", bytes);
  }
  if (!limit(folder, "memory.limit_in_bytes", bytes)) return false;
  // Fails where the kernel does not count swap; there the limit above is all there is.
  limit(folder, "memory.memsw.limit_in_bytes", bytes);
  return true;
}

function limit(folder: string, file: string, value: number): boolean {
  try {
    writeFileSync(join(folder, file), String(value));
    return true;
  } catch {
    return false;
  }
}

function readNumber(file: string): number {
  try {
    return Number(readFileSync(file, "latin1"));
  } catch {
    return 0;
  }
}

function countOutOfMemory(folder: string): number {
  for (const file of ["memory.events", "memory.oom_control"]) {
    try {
      return Number(/^oom_kill (\d+)/m.exec(readFileSync(join(folder, file), "latin1"))?.[1] ?? 0);
    } catch {
      // The other version's file.
    }
  }
  return 0;
}

function makeFolder(controller: "memory" | "pids", name: string): string | undefined {
  const parent = findParent(controller);
  if (parent === undefined) return undefined;
  const folder = join(parent, PREFIX + name);
  try {
    mkdirSync(folder, { recursive: true });
    return folder;
  } catch {
    return undefined;
  }
}

function removeNow(folder: string): boolean {
  try {
    rmdirSync(folder);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "ENOENT";
  }
}

/** Where groups with that controller may be made: the runtime's own group, or the top where that is forbidden. */
function findParent(controller: "memory" | "pids"): string | undefined {
  const mounts = readFileSync("/proc/self/mounts", "utf8").split("\n").map((line) => line.split(" "));
  const own = readFileSync("/proc/self/cgroup", "utf8").split("\n").map((line) => line.split(":"));
  const first = mounts.find(([, , type, options]) => type === "cgroup" && options?.split(",").includes(controller))?.[1];
  if (first !== undefined) {
    const path = own.find(([, controllers]) => controllers?.split(",").includes(controller))?.[2] ?? "/";
    return [join(first, path), first].find((folder) => existsSync(folder));
  }
  const second = mounts.find(([, , type]) => type === "cgroup2")?.[1];
  if (second === undefined) return undefined;
  // A group with processes of its own cannot hand controllers on, so that the top is what is left.
  return enables(second, controller) ? second : undefined;
}

function enables(folder: string, controller: string): boolean {
  const file = join(folder, "cgroup.subtree_control");
  try {
    if (readFileSync(file, "latin1").split(/\s+/).includes(controller)) return true;
    writeFileSync(file, `+${controller}`);
    return true;
  } catch {
    return false;
  }
}
