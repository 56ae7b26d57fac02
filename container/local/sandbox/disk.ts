import { execFile } from "node:child_process";
import { mkdir, open, rename, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { jailEnvironment } from "./jail.ts";

/*
 * As root, a sandbox's folders lie on a disk of their own: a file with a file system in it, as large as the sandbox's
 * disk may become, that takes room on the machine only for what was written. Whoever fills it is told by the kernel.
 * It is mounted by start.sh where nobody but the sandbox sees it, and goes with the sandbox however that ends.
 */

const PROBE_BYTES = 16 * 1024 * 1024;
const TIMEOUT_MS = 20_000;
/** Where start.sh mounts it. */
export const DISK_FOLDER = "/mnt/disk";

/** Makes an empty disk image, whole or not at all. */
export async function makeDiskImage(path: string, sizeBytes: number): Promise<void> {
  const unfinished = `${path}.new`;
  await rm(unfinished, { force: true });
  {
    await using file = await open(unfinished, "wx", 0o600);
    await file.truncate(sizeBytes);
  }
  // Nothing is kept back for root, and nothing is written that a file with holes has anyway.
  const options = ["-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard"];
  await run("mkfs.ext4", ["-q", "-F", ...options, unfinished]);
  await rename(unfinished, path);
}

/** Whether this machine lets us mount a file as a disk. */
export async function canMountImages(folder: string): Promise<boolean> {
  if (process.getuid?.() !== 0) return false;
  const image = join(folder, "probe.img");
  try {
    await mkdir(folder, { recursive: true });
    await makeDiskImage(image, PROBE_BYTES);
    await run("unshare", ["--mount", "--propagation", "private", "mount", "-t", "ext4", "-o", "loop", image, "/mnt"]);
    return true;
  } catch {
    return false;
  } finally {
    await rm(image, { force: true });
  }
}

/** What a mounted disk holds, by its kernel; nothing where that cannot be seen. `pid` is the jail's first process. */
export async function diskUse(pid: number | undefined): Promise<{ usedBytes: number; limitBytes: number } | undefined> {
  if (pid === undefined) return undefined;
  try {
    const { blocks, bfree, bsize } = await statfs(`/proc/${pid}/root${DISK_FOLDER}`);
    return { usedBytes: (blocks - bfree) * bsize, limitBytes: blocks * bsize };
  } catch {
    return undefined;
  }
}

/**
 * What folders of the machine hold, by `du`, which follows no link however they change under it; nothing where they are
 * not there or that takes longer than it may.
 */
export async function measureFolders(
  folders: readonly string[],
  what: "bytes" | "files",
  timeoutMs = 0,
): Promise<number | undefined> {
  const args = ["-scx", what === "bytes" ? "--block-size=1" : "--inodes", "--", ...folders];
  // What vanishes while it is counted is told by its exit code, and counts little.
  const { stdout } = await promisify(execFile)("du", args, { timeout: timeoutMs }).catch((error: unknown) => ({
    stdout: error instanceof Error && "stdout" in error ? String(error.stdout) : "",
  }));
  const total = /^(\d+)\ttotal$/m.exec(stdout)?.[1];
  return total === undefined ? undefined : Number(total);
}

async function run(program: string, args: readonly string[]): Promise<void> {
  const { PATH = "" } = jailEnvironment();
  // Users' paths seldom hold mkfs.
  const env = { PATH: `${PATH}:/usr/sbin:/sbin` };
  await promisify(execFile)(program, args, { timeout: TIMEOUT_MS, env });
}
