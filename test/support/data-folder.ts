import { mkdtemp, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { unpackBundledChrome } from "../../container/local/chrome/bundled.ts";

/** Where tests keep what is the same for all of them. */
export const CACHE = path.resolve(import.meta.dirname, "../../node_modules/.cache");

/** A suite's new data folder. The browser in it is unpacked once for all of them, which takes seconds and 220 MB. */
export async function newDataFolder(prefix: string): Promise<string> {
  const folder = await mkdtemp(prefix);
  const browser = path.join(CACHE, "chrome");
  const unpacked = await unpackBundledChrome(browser, () => undefined);
  if (unpacked !== undefined) await symlink(browser, path.join(folder, "chrome"));
  // Without it, a suite takes the folder for somebody else's.
  await writeFile(path.join(folder, "suite.lock"), "");
  return folder;
}
