import { createHash } from "node:crypto";
import { closeSync, constants, fstatSync, lstatSync, openSync, readdirSync, readSync, writeSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import { constants as zlib, createZstdCompress, createZstdDecompress } from "node:zlib";
import { ignoreRules } from "./ignore.mjs";
import { isOurTemporary } from "./scan.mjs";

/**
 * What of `/workspace`, the working directory, belongs into a snapshot; snapshot.sh packs it. `list` prints the names,
 * each with a NUL behind it; `look` a fingerprint of everything that a snapshot would hold.
 */

const RULES_FILE = ".snapshotignore";
const MAX_RULES_BYTES = 64 * 1024;
/** What programs can make again. Rules of the caller's own come after it. */
const JUNK = "/.cache/\n";
/** The caller's files have a place of their own. */
const MOUNT = "files";
const WRITE_BYTES = 256 * 1024;

/** Names are bytes and need not be UTF-8; in latin1 each byte is a character. @param {string} path */
const bytesOf = (path) => Buffer.from(path, "latin1");

/** Whether the user that runs this may read it, by its owner's bits. */
const mine = process.getuid?.() ?? 0;

function readRules() {
  let file;
  try {
    file = openSync(RULES_FILE, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return "";
  }
  try {
    const buffer = Buffer.alloc(MAX_RULES_BYTES);
    return fstatSync(file).isFile() ? buffer.toString("latin1", 0, readSync(file, buffer)) : "";
  } finally {
    closeSync(file);
  }
}

/**
 * Each file, folder and link of a snapshot, folders before what is in them. Sockets, pipes and devices are nothing that
 * could come back.
 * @param {(path: string, info: import("node:fs").Stats) => void} onEntry
 */
function walk(onEntry) {
  const isIgnored = ignoreRules(JUNK + readRules());
  let unreadable = 0;
  const folders = ["."];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    let names;
    try {
      names = readdirSync(bytesOf(folder), { encoding: "latin1" });
    } catch {
      unreadable += 1;
      continue;
    }
    names.sort();
    for (const name of names) {
      const path = `${folder}/${name}`;
      if (path === `./${MOUNT}` || isOurTemporary(name)) continue;
      const info = lstatSync(bytesOf(path), { throwIfNoEntry: false });
      if (info === undefined || !(info.isFile() || info.isDirectory() || info.isSymbolicLink())) continue;
      if (isIgnored(path.slice(2), info.isDirectory())) continue;
      if (info.isFile() && mine !== 0 && info.uid === mine && (info.mode & 0o400) === 0) unreadable += 1;
      onEntry(path, info);
      if (info.isDirectory()) folders.push(path);
    }
  }
  return unreadable;
}

function look() {
  const digest = createHash("sha256");
  const unreadable = walk((path, { mode, size, ino, mtimeMs, ctimeMs }) => {
    digest.update(`${mode} ${size} ${ino} ${mtimeMs} ${ctimeMs} ${path}\0`, "latin1");
  });
  process.stdout.write(JSON.stringify({ fingerprint: digest.digest("hex"), unreadable }));
}

function list() {
  /** @type {string[]} */
  let names = [];
  let held = 0;
  const write = () => {
    const bytes = bytesOf(names.join(""));
    for (let at = 0; at < bytes.length;) at += writeSync(1, bytes, at);
    names = [];
    held = 0;
  };
  walk((path) => {
    names.push(`${path}\0`);
    if ((held += path.length) > WRITE_BYTES) write();
  });
  write();
}

switch (process.argv[2]) {
  case "look":
    look();
    break;
  case "list":
    list();
    break;
  case "compress":
    await pipeline(
      process.stdin,
      createZstdCompress({ params: { [zlib.ZSTD_c_compressionLevel]: 2 } }),
      process.stdout,
    );
    break;
  case "decompress":
    await pipeline(process.stdin, createZstdDecompress(), process.stdout);
    break;
}
