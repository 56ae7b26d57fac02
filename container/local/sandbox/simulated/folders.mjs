import { lstatSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join, posix } from "node:path";
import { answerFile } from "../inside/files.mjs";
import { FROM_AGENT } from "../inside/frames.mjs";

/** @typedef {import("../inside/process.mjs").Outbox} Outbox */

/** @param {string} code */
function refuse(code) {
  return Object.assign(new Error(code), { code });
}

/**
 * Where the sandbox's folders are on this machine. Nothing outside of them has a place, and nothing that is reached
 * through a link: the shell makes none, so that one was put there by somebody else.
 * @param {import("./agent.mjs").Folders} folders
 */
export function openFolders({ workspace, files, tmp }) {
  const mounts = /** @type {const} */ ([
    ["/workspace/files", files],
    ["/workspace", workspace],
    ["/tmp", tmp],
  ]);

  /** @param {string} path */
  function real(path) {
    const inside = posix.normalize(path);
    const [mountPoint, folder] =
      mounts.find(([mountPoint]) => inside === mountPoint || inside.startsWith(`${mountPoint}/`)) ?? [];
    if (mountPoint === undefined || folder === undefined || inside.includes("\0")) return undefined;
    let place = folder;
    for (const name of inside.slice(mountPoint.length).split("/")) {
      place = join(place, name);
      if (lstatSync(place, { throwIfNoEntry: false })?.isSymbolicLink() === true) throw refuse("ELOOP");
    }
    return place;
  }

  /** @param {string} path @param {string} code where it has no place */
  function placed(path, code) {
    const place = real(path);
    if (place === undefined) throw refuse(code);
    return place;
  }

  /** @param {number} call @param {any} request @param {Outbox} outbox */
  async function answer(call, request, outbox) {
    const isChange = request.op !== "read" && request.op !== "hash";
    const mapped = { ...request };
    for (const name of ["path", "root", "from", "to", "aside"]) {
      if (name in request) mapped[name] = placed(request[name], isChange ? "EROFS" : "ENOENT");
    }
    if (request.op !== "empty") return answerFile(call, mapped, outbox);
    for (const name of await readdir(mapped.root)) {
      if (name !== request.kept) await rm(join(mapped.root, name), { recursive: true, force: true });
    }
    return outbox.send(FROM_AGENT.done, call, {});
  }

  return {
    answer,
    /** Where a command may begin. @param {string} path */
    isFolder(path) {
      if (posix.normalize(path) === "/") return true;
      try {
        return lstatSync(placed(path, "ENOENT")).isDirectory();
      } catch {
        return false;
      }
    },
  };
}
