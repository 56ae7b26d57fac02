import { readFile, readdir } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";

/** Every process below `pid`, itself included. */
export async function treeOf(pid: number): Promise<number[]> {
  const parents = new Map<number, number>();
  for (const name of await readdir("/proc")) {
    const stat = /^\d+$/.test(name) ? await readFile(`/proc/${name}/stat`, "utf8").catch(() => "") : "";
    const parent = /\) \S (\d+) /.exec(stat)?.[1];
    if (parent !== undefined) parents.set(Number(name), Number(parent));
  }
  const tree = [pid];
  for (const known of tree) tree.push(...[...parents].filter(([, parent]) => parent === known).map(([child]) => child));
  return tree;
}

export async function commandOf(pid: number): Promise<string> {
  return (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).replaceAll("\0", " ").trim();
}

/** Each of them that has not ended with another one. */
export function killAll(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, "SIGKILL");
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
    }
  }
}

/** Those that are still there after `withinMs`; zombies count as gone. */
export async function survivorsOf(pids: readonly number[], withinMs: number): Promise<number[]> {
  for (const deadline = Date.now() + withinMs; ; await pause(20)) {
    const states = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/stat`, "utf8").catch(() => "")));
    const alive = pids.filter((_pid, at) => /\) [^ZX] /.test(states[at] ?? ""));
    if (alive.length === 0 || Date.now() > deadline) return alive;
  }
}
