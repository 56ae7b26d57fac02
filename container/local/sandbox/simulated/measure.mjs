import { lstat, opendir } from "node:fs/promises";
import { join } from "node:path";

/**
 * What folders hold, without following links; of more than `maxFiles` files, not all.
 * @param {readonly string[]} roots
 * @param {number} maxFiles
 */
export async function measure(roots, maxFiles) {
  const total = { bytes: 0, files: 0 };
  const left = [...roots];
  for (let folder = left.pop(); folder !== undefined && total.files <= maxFiles; folder = left.pop()) {
    try {
      for await (const entry of await opendir(folder, { bufferSize: 512 })) {
        if ((total.files += 1) > maxFiles) break;
        const path = join(folder, entry.name);
        if (entry.isDirectory()) left.push(path);
        else if (entry.isFile()) total.bytes += (await lstat(path)).size;
      }
    } catch {
      // It went away meanwhile.
    }
  }
  return total;
}
