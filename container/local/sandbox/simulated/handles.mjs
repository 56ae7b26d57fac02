import { createRequire } from "node:module";

const { promises: fs } = createRequire(import.meta.url)("node:fs");

/**
 * Lets just-bash set modes and times of a file that it holds open: under the permission model Node does that by path
 * only. Nobody else puts another file in that place, since links cannot be made and names are drawn at random.
 */
export function changeHandlesByPath() {
  const open = fs.open;
  fs.open = async (/** @type {string} */ path, /** @type {any[]} */ ...rest) => {
    const handle = await open(path, ...rest);
    handle.chmod = async (/** @type {number} */ mode) => await fs.chmod(path, mode);
    handle.utimes = async (/** @type {Date} */ read, /** @type {Date} */ written) =>
      await fs.utimes(path, read, written);
    return handle;
  };
}
