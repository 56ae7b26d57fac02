import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Limits } from "./limits.ts";

/** Kernel accounting for one sandbox. What is written to `procsFiles` is in it, with all its children. */
export interface SandboxCgroup {
  readonly procsFiles: readonly string[];
  /** Whether the kernel holds its memory, processes and share of the processor down. */
  readonly limits: Readonly<Record<Controller, boolean>>;
  /** How many threads are in it; 0 where they are not counted. */
  processes(): number;
  /** What it uses of its memory, without what the kernel would give up at once; nothing where that is not counted. */
  memoryBytes(): number | undefined;
  /** How often the kernel killed something in it because its memory was used up. */
  outOfMemoryKills(): number;
  remove(): Promise<void>;
}

const CONTROLLERS = ["memory", "pids", "cpu"] as const;
type Controller = (typeof CONTROLLERS)[number];

const PREFIX = "pincer-";
const REMOVE_TRIES = 40;

/**
 * Makes a group for one sandbox under the runtime's own, as far as this machine lets it: version 1 and 2 are both
 * met, ordinary users mostly get neither. `undefined` where nothing can be limited.
 */
export function createCgroup(name: string, limits: Limits): SandboxCgroup | undefined {
  const folders = new Map<Controller, string>();
  for (const controller of CONTROLLERS) {
    const folder = makeFolder(controller, PREFIX + name);
    if (folder === undefined) continue;
    if (applyLimit(controller, folder, limits)) folders.set(controller, folder);
    else removeNow(folder);
  }
  if (folders.size === 0) return undefined;
  // Asked for with each call, so that it is not looked for each time.
  const eventsFile = ["memory.events", "memory.oom_control"].find(
    (name) => read(folders.get("memory"), name) !== undefined,
  );
  // In version 2 one folder is all of them.
  const used = [...new Set(folders.values())];
  return {
    procsFiles: used.map((folder) => join(folder, "cgroup.procs")),
    limits: { memory: folders.has("memory"), pids: folders.has("pids"), cpu: folders.has("cpu") },
    processes: () => Number(read(folders.get("pids"), "pids.current") ?? 0),
    memoryBytes: () => {
      const folder = folders.get("memory");
      const used = read(folder, "memory.current") ?? read(folder, "memory.usage_in_bytes");
      const spare = /^(?:total_)?inactive_file (\d+)/m.exec(read(folder, "memory.stat") ?? "")?.[1] ?? 0;
      return used === undefined ? undefined : Math.max(0, Number(used) - Number(spare));
    },
    outOfMemoryKills: () => Number(/^oom_kill (\d+)/m.exec(read(folders.get("memory"), eventsFile) ?? "")?.[1] ?? 0),
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
  for (const controller of CONTROLLERS) {
    const parent = findParent(controller);
    if (parent === undefined) continue;
    for (const name of readdirSync(parent)) if (isStale(name)) removeNow(join(parent, name));
  }
}

/** The name begins with the runtime's own process id. */
function isStale(name: string): boolean {
  const pid = name.startsWith(PREFIX) ? /^\d+/.exec(name.slice(PREFIX.length))?.[0] : undefined;
  return pid !== undefined && !existsSync(`/proc/${pid}`);
}

function applyLimit(controller: Controller, folder: string, limits: Limits): boolean {
  switch (controller) {
    case "memory":
      // Swap is limited where it is counted; elsewhere the first limit is all there is.
      if (write(folder, "memory.max", limits.memoryBytes)) return write(folder, "memory.swap.max", 0) || true;
      if (!write(folder, "memory.limit_in_bytes", limits.memoryBytes)) return false;
      return write(folder, "memory.memsw.limit_in_bytes", limits.memoryBytes) || true;
    case "pids":
      return write(folder, "pids.max", limits.maxProcesses);
    case "cpu":
      // The whole sandbox together gets what any other process of the machine gets when all want to run.
      return write(folder, "cpu.weight", 100) || write(folder, "cpu.shares", 1_024);
  }
}

function write(folder: string, file: string, value: number): boolean {
  try {
    // Without O_CREAT: a file that the kernel did not make is a limit that it does not know.
    writeFileSync(join(folder, file), String(value), { flag: "r+" });
    return true;
  } catch {
    return false;
  }
}

function read(folder: string | undefined, file: string | undefined): string | undefined {
  try {
    return folder === undefined || file === undefined ? undefined : readFileSync(join(folder, file), "latin1");
  } catch {
    return undefined;
  }
}

function makeFolder(controller: Controller, name: string): string | undefined {
  const parent = findParent(controller);
  if (parent === undefined) return undefined;
  try {
    mkdirSync(join(parent, name), { recursive: true });
    return join(parent, name);
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

/** Where groups with that controller may be made: below the runtime's own group, or at the top. */
function findParent(controller: Controller): string | undefined {
  const mounts = readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" "));
  const first = mounts.find(
    ([, , type, options]) => type === "cgroup" && options?.split(",").includes(controller),
  )?.[1];
  if (first !== undefined) {
    const own = readFileSync("/proc/self/cgroup", "utf8")
      .split("\n")
      .map((line) => line.split(":"));
    const path = own.find(([, names]) => names?.split(",").includes(controller))?.[2] ?? "/";
    return [join(first, path), first].find((folder) => existsSync(folder));
  }
  const second = mounts.find(([, , type]) => type === "cgroup2")?.[1];
  // A group with processes of its own cannot hand controllers on, so that the top is what is left.
  return second !== undefined && isEnabled(second, controller) ? second : undefined;
}

function isEnabled(folder: string, controller: Controller): boolean {
  const enabled = (): boolean =>
    read(folder, "cgroup.subtree_control")?.trim().split(" ").includes(controller) === true;
  return enabled() || (writeText(join(folder, "cgroup.subtree_control"), `+${controller}`) && enabled());
}

function writeText(file: string, text: string): boolean {
  try {
    writeFileSync(file, text);
    return true;
  } catch {
    return false;
  }
}
