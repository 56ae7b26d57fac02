import { createHash } from "node:crypto";
import { lstatSync, readdirSync } from "node:fs";
import { basename } from "node:path";

/** Files that are being written; they are no part of what the folder holds. */
export const TEMPORARY = { prefix: ".pincer-write-", /** @type {Set<string>} */ inUse: new Set() };

/** @param {string} path */
export function isOurTemporary(path) {
  return /^\.pincer-write-[0-9a-f]{16}$/.test(basename(path));
}

/** What the simulated shell leaves behind where a command is ended while it copies; a running one may still need it. */
const STAGED = /^\.just-bash-(?:write|mv-[a-z]+)-[0-9a-f]{32}$/;

/** How many names of any kind are looked at for each file that is asked for. */
const SEEN_FOR_EACH = 10;

/**
 * A file that changed this short a time ago may change again without its times telling: kernels before 6.13 count
 * them in steps of up to 10 ms.
 */
const RACY_NS = 25_000_000n;

/** Differs whenever the file was written, replaced or renamed over. @param {import("node:fs").BigIntStats} info */
export function stampOf(info) {
  const isRacy = BigInt(Date.now()) * 1_000_000n - info.ctimeNs < RACY_NS;
  return `${info.ino}:${info.size}:${info.mtimeNs}:${info.ctimeNs}${isRacy ? "?" : ""}`;
}

/**
 * Of a file that was just put there: somebody may have written to it since, or taken it away. The next look goes by what
 * it holds. @param {import("node:fs").BigIntStats | undefined} info
 */
export function unsureStampOf(info) {
  return info === undefined ? "?" : `${stampOf(info).replace("?", "")}?`;
}

/** Whether nothing was written between the two, as far as times tell. @param {string} one @param {string} other */
export function isSameStamp(one, other) {
  return one.replace("?", "") === other.replace("?", "");
}

/**
 * Every regular file below `root`, by name, and a digest of all of it. Links, devices and the like are counted, not
 * followed.
 * @param {string} root
 * @param {number} maxFiles
 */
export function scan(root, maxFiles) {
  /** @type {[path: string, sizeBytes: number, stamp: string][]} */
  const files = [];
  const leftovers = [];
  const digest = createHash("sha256");
  let leftOut = 0;
  let isFull = false;
  const folders = [""];
  let seen = 0;
  for (let folder = folders.pop(); folder !== undefined && !isFull; folder = folders.pop()) {
    let entries;
    try {
      entries = readdirSync(root + (folder && `/${folder}`), { withFileTypes: true });
    } catch {
      leftOut += 1;
      continue;
    }
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const entry of entries) {
      // Folders and links without end would take as long as files without end.
      if (files.length >= maxFiles || (seen += 1) > SEEN_FOR_EACH * maxFiles) {
        isFull = true;
        break;
      }
      const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
      if (STAGED.test(entry.name)) continue;
      if (isOurTemporary(path)) leftovers.push(`${root}/${path}`);
      else if (entry.isDirectory()) folders.push(path);
      else if (!entry.isFile()) leftOut += 1;
      else {
        const info = lstatSync(`${root}/${path}`, { bigint: true, throwIfNoEntry: false });
        // Gone in the meantime, or a name that is no UTF-8 and cannot be asked for.
        if (info === undefined && path.includes("\ufffd")) leftOut += 1;
        if (info === undefined || !info.isFile()) continue;
        const stamp = stampOf(info);
        files.push([path, Number(info.size), stamp]);
        digest.update(`${path}\0${stamp}\n`);
      }
    }
  }
  digest.update(`${leftOut}`);
  return { files, leftovers, digest: digest.digest("hex"), leftOut, isFull };
}
