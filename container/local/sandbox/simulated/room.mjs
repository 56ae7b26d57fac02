import { statfs } from "node:fs/promises";
import { measure } from "./measure.mjs";

// just-bash takes the global away while a command runs.
const { add, load, store, sub } = Atomics;

/** Whatever the limits say, the machine keeps this. */
const DISK_RESERVE_BYTES = 512 * 1024 * 1024;

/**
 * What the sandbox's folders may still take. What is written counts as it is written, what is removed only when the
 * room seems to be used up: then the folders are measured, which takes its time where there are many files.
 * @param {import("./agent.mjs").Setting} setting
 */
export function openRoom({ folders, limits, used }) {
  // Bytes, files, and whether they were ever measured; for all threads.
  const counts = new BigInt64Array(used);
  const roots = [folders.workspace, folders.files, folders.tmp];

  /** @param {bigint} bytes @param {bigint} files */
  const tryTake = (bytes, files) => {
    const [allBytes, allFiles] = [add(counts, 0, bytes) + bytes, add(counts, 1, files) + files];
    if (allBytes <= BigInt(limits.diskBytes) && allFiles <= BigInt(limits.diskFiles)) return true;
    sub(counts, 0, bytes);
    sub(counts, 1, files);
    return false;
  };

  /** Throws ENOSPC where there is none. @param {number} bytes @param {number} files */
  async function take(bytes, files) {
    const wanted = /** @type {const} */ ([BigInt(bytes), BigInt(files)]);
    if (load(counts, 2) === 1n && tryTake(...wanted)) return;
    const measured = await measure(roots, limits.diskFiles);
    const { bavail, bsize } = await statfs(folders.workspace);
    store(counts, 0, BigInt(measured.bytes));
    store(counts, 1, BigInt(measured.files));
    store(counts, 2, 1n);
    const isMachineFull = bytes > 0 && bavail * bsize - bytes < DISK_RESERVE_BYTES;
    if (isMachineFull || !tryTake(...wanted)) {
      throw Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
    }
  }

  return { take };
}
