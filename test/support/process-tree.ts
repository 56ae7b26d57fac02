import { readdir, readFile } from "node:fs/promises";

/** A process, and whatever it started and they started in turn. */
export async function processTree(root: number): Promise<readonly number[]> {
  const parents = new Map<number, number>();
  for (const name of await readdir("/proc")) {
    const stat = /^\d+$/.test(name) ? await readFile(`/proc/${name}/stat`, "latin1").catch(() => "") : "";
    if (stat !== "") parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]));
  }
  const found = [root];
  for (const pid of found) found.push(...[...parents].flatMap(([child, parent]) => (parent === pid ? [child] : [])));
  return found;
}

/** Those whose command line a pattern matches. */
export async function pick(pids: readonly number[], pattern: RegExp): Promise<readonly number[]> {
  const lines = await Promise.all(
    pids.map(async (pid) => (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).replaceAll("\0", " ")),
  );
  return pids.filter((_, index) => pattern.test(lines[index] ?? ""));
}

/** What they hold in memory, in MB; what they share is counted once. */
export async function memoryMb(pids: readonly number[]): Promise<number> {
  const shares = await Promise.all(
    pids.map(async (pid) => {
      const rollup = await readFile(`/proc/${pid}/smaps_rollup`, "latin1").catch(() => "");
      return Number(/^Pss:\s+(\d+) kB/m.exec(rollup)?.[1] ?? 0);
    }),
  );
  return shares.reduce((sum, share) => sum + share, 0) / 1_024;
}
