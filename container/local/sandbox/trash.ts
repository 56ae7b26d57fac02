import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

/*
 * How folders of sandboxes are removed: each is taken away all at once, so that whatever ends the runtime in the middle
 * leaves it whole or not at all. Nothing may be at work in them any more.
 */

/** Takes a folder away, and removes it. One that is not there is no error. */
export async function throwAway(folder: string, trashDir: string): Promise<void> {
  await mkdir(trashDir, { recursive: true, mode: 0o700 });
  const place = join(trashDir, randomUUID());
  try {
    await rename(folder, place);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return;
    throw error;
  }
  await removeFolder(place);
}

/** Removes what an earlier runtime has taken away and left there. */
export async function emptyTrash(trashDir: string): Promise<void> {
  const names = await readdir(trashDir).catch(() => []);
  for (const name of names) await removeFolder(join(trashDir, name));
}

async function removeFolder(folder: string): Promise<void> {
  try {
    await rm(folder, { recursive: true, force: true });
  } catch {
    // Folders that the sandbox's user has shut are shut to us too, unless we are root.
    await promisify(execFile)("chmod", ["-R", "u+rwX", folder]);
    await rm(folder, { recursive: true, force: true });
  }
}
