import { createHash } from "node:crypto";
import { lstat, mkdir, rm } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import path from "node:path";
import { LaunchProblem } from "./problem.ts";

export interface TempFolder {
  /** Short, because a unix socket's path ends at about 100 bytes. */
  readonly path: string;
  close(): Promise<void>;
}

/**
 * The one folder for what a start makes and nobody keeps: sockets, unpacked modules. It has the same name at each
 * start on that data folder, so that what a killed suite left is swept away by the next.
 */
export async function openTempFolder(dataDir: string): Promise<TempFolder> {
  const name = createHash("sha256").update(dataDir).digest("hex").slice(0, 12);
  const folder = path.join(tmpdir(), `pincer-${name}`);
  await sweep(folder);
  await mkdir(folder, { mode: 0o700 });
  return { path: folder, close: async () => await rm(folder, { recursive: true, force: true }) };
}

/** On a shared machine somebody else may have put something under that name: it is not ours to remove. */
async function sweep(folder: string): Promise<void> {
  const found = await lstat(folder).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isDirectory() || found.uid !== userInfo().uid) {
    throw new LaunchProblem(`${folder} belongs to somebody else; set TMPDIR to a folder of your own.`);
  }
  await rm(folder, { recursive: true, force: true });
}
