import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { constants, createReadStream } from "node:fs";
import { chmod, lstat, mkdir, open, rename, rm, rmdir, stat, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { FROM_AGENT } from "./frames.mjs";
import { isOurTemporary, isSameStamp, scan, stampOf, TEMPORARY, unsureStampOf } from "./scan.mjs";

/** @typedef {import("./process.mjs").Outbox} Outbox */

const CHUNK_BYTES = 256 * 1024;

/** A refusal that the runtime knows by its code. @param {string} code */
function refuse(code) {
  return Object.assign(new Error(code), { code });
}

/** @type {Map<number, ReturnType<typeof writer>>} */
const writers = new Map();

/** How many more pieces each reader may send before it is told to go on. @type {Map<number, { credit: number, wake: () => void, isWanted: boolean }>} */
const readers = new Map();
const FIRST_CREDIT = 4;

/** @param {number} call @param {any} request @param {Outbox} outbox */
export async function answerFile(call, request, outbox) {
  const done = (/** @type {object} */ result) => outbox.send(FROM_AGENT.done, call, result);
  switch (request.op) {
    case "read":
      return done(await read(call, request, outbox));
    case "write":
      writers.set(call, writer(request, done));
      return undefined;
    case "hash":
      return done(await hash(request.path));
    case "remove":
      return done(await remove(request));
    case "rename":
      await rename(request.from, request.to);
      return done({});
    case "empty":
      await empty(request.root, request.kept);
      return done({});
    case "scan":
      return done(await scanFolder(call, request, outbox));
    default:
      throw refuse("EUNKNOWN");
  }
}

/** The file's bytes so far are on disk before the next are taken. @param {number} call @param {Buffer} bytes */
export async function feedFile(call, bytes) {
  const reader = readers.get(call);
  if (reader !== undefined) {
    reader.credit += 1;
    reader.wake();
  }
  const writing = writers.get(call);
  if (writing === undefined) return;
  if (bytes.length === 0) writers.delete(call);
  try {
    await writing.write(Buffer.from(bytes));
  } catch (error) {
    writers.delete(call);
    throw error;
  }
}

/** Nobody wants the rest. @param {number} call */
export function forgetFile(call) {
  const reader = readers.get(call);
  if (reader !== undefined) {
    reader.isWanted = false;
    reader.wake();
  }
  void writers.get(call)?.abandon();
  writers.delete(call);
}

/** @param {number} call @param {{ path: string, maxBytes: number, isExact: boolean }} request @param {Outbox} outbox */
async function read(call, { path, maxBytes, isExact }, outbox) {
  // Without O_NONBLOCK a named pipe would be waited on for ever.
  await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const info = await file.stat({ bigint: true });
  if (info.isDirectory()) throw refuse("EISDIR");
  if (!info.isFile()) throw refuse("ENOTFILE");
  if (info.size > BigInt(maxBytes)) throw refuse("EFBIG");
  const sizeBytes = Number(info.size);
  outbox.send(FROM_AGENT.bytes, call, Buffer.from(JSON.stringify({ sizeBytes })));
  const reader = { credit: FIRST_CREDIT, wake: () => {}, isWanted: true };
  readers.set(call, reader);
  try {
    const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
    for (let sent = 0; reader.isWanted && !(isExact && sent === sizeBytes);) {
      const { bytesRead } = await file.read(buffer, 0, isExact ? Math.min(CHUNK_BYTES, sizeBytes - sent) : CHUNK_BYTES);
      if (bytesRead === 0 && isExact) throw refuse("ECHANGED");
      if (bytesRead === 0) break;
      sent += bytesRead;
      // Files of /proc say that they are empty; others may grow while they are read.
      if (sent > maxBytes) throw refuse("EFBIG");
      outbox.send(FROM_AGENT.bytes, call, buffer.subarray(0, bytesRead));
      reader.credit -= 1;
      while (reader.credit <= 0 && reader.isWanted)
        await new Promise((resolve) => (reader.wake = () => resolve(undefined)));
    }
  } finally {
    readers.delete(call);
  }
  return {};
}

/** One file at a time takes its place, so that none does between another's look at what it replaces and its own. */
let placing = Promise.resolve();

/**
 * The whole file or nothing: it takes its place when its last byte is written, if what is there has the hash
 * `replaces`, where that is given. Where `aside` is, what is there by then goes there, unless it has the stamp `known`.
 * @param {{ path: string, replaces?: string, known?: string, aside?: string }} request
 * @param {(result: object) => void} done
 */
function writer({ path, replaces, known, aside }, done) {
  const temporary = `${dirname(path)}/${TEMPORARY.prefix}${randomBytes(8).toString("hex")}`;
  const opened = (async () => {
    const before = await stat(path).catch(() => undefined);
    if (before !== undefined && !before.isFile()) throw refuse(before.isDirectory() ? "EISDIR" : "ENOTFILE");
    await mkdir(dirname(path), { recursive: true });
    TEMPORARY.inUse.add(temporary);
    const file = await open(temporary, "wx", 0o644);
    if (before !== undefined) await chmod(temporary, before.mode & 0o777);
    return file;
  })();
  let turn = opened.then(() => {});
  // Whoever sends the first bytes is told; until then nobody listens.
  turn.catch(() => {});
  const abandon = async () => {
    TEMPORARY.inUse.delete(temporary);
    await opened.then((file) => file.close()).catch(() => {});
    await rm(temporary, { force: true }).catch(() => {});
  };
  const write = (/** @type {Buffer} */ bytes) => {
    turn = turn.then(async () => {
      const file = await opened;
      if (bytes.length > 0) return file.writeFile(bytes);
      await file.close();
      const placed = placing.then(async () => {
        if (replaces !== undefined && (await sha256(path)) !== replaces) throw refuse("ECONFLICT");
        const isAside = aside !== undefined && (await isAnother(path, known));
        if (isAside) await rename(path, aside);
        await rename(temporary, path);
        return isAside;
      });
      placing = placed.then(
        () => {},
        () => {},
      );
      const isAside = await placed;
      TEMPORARY.inUse.delete(temporary);
      const info = await lstat(path, { bigint: true }).catch(() => undefined);
      return done({ stamp: unsureStampOf(info), isAside });
    });
    turn = turn.catch(async (error) => {
      await abandon();
      throw error;
    });
    return turn;
  };
  return { write, abandon };
}

/** Whether there is a file with another stamp. @param {string} path @param {string | undefined} known */
async function isAnother(path, known) {
  const info = await lstat(path, { bigint: true }).catch(() => undefined);
  return info !== undefined && (known === undefined || !isSameStamp(stampOf(info), known));
}

/** Of a file's content; nothing where there is no file. @param {string} path */
async function sha256(path) {
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const digest = createHash("sha256");
    for await (const chunk of file.createReadStream({ autoClose: false })) digest.update(chunk);
    return digest.digest("hex");
  } catch {
    return undefined;
  }
}

/**
 * Removes everything in a folder but one name. By programs that take any name and folders that are shut.
 * @param {string} root
 * @param {string} kept
 */
async function empty(root, kept) {
  const each = [root, "-mindepth", "1", "-maxdepth", "1", "!", "-name", kept];
  const find = promisify(execFile);
  // Links are left alone by the first, and what cannot be removed is told by the second.
  await find("/usr/bin/find", [...each, "!", "-type", "l", "-exec", "chmod", "-R", "u+rwX", "--", "{}", "+"]).catch(
    () => {},
  );
  await find("/usr/bin/find", [...each, "-exec", "rm", "-rf", "--", "{}", "+"]);
}

/** @param {string} path */
async function hash(path) {
  const info = await lstat(path, { bigint: true });
  if (!info.isFile()) throw refuse("ENOTFILE");
  const md5 = createHash("md5");
  for await (const chunk of createReadStream(path)) md5.update(chunk);
  return { md5: md5.digest("hex"), stamp: stampOf(info) };
}

/**
 * Removes a file that has the stamp `known`, and the folders that it leaves empty below `root`.
 * @param {{ path: string, root: string, known: string }} request
 */
async function remove({ path, root, known }) {
  if (await isAnother(path, known)) return {};
  await unlink(path).catch((error) => {
    if (error.code !== "ENOENT") throw error;
  });
  try {
    for (let folder = dirname(path); folder.startsWith(`${root}/`); folder = dirname(folder)) await rmdir(folder);
  } catch {
    // The first folder that still holds something ends it.
  }
  return {};
}

/** @param {number} call @param {{ root: string, maxFiles: number, wantsList: boolean }} request @param {Outbox} outbox */
async function scanFolder(call, request, outbox) {
  const found = scan(request.root, request.maxFiles);
  if (request.wantsList) {
    for (let start = 0; start < found.files.length; start += 1_000) {
      const page = found.files.slice(start, start + 1_000);
      outbox.send(FROM_AGENT.bytes, call, Buffer.from(JSON.stringify(page)));
      await new Promise((resolve) => outbox.whenClear(() => resolve(undefined)));
    }
  }
  for (const path of found.leftovers.filter((path) => isOurTemporary(path) && !TEMPORARY.inUse.has(path))) {
    await rm(path, { force: true });
  }
  return { digest: found.digest, leftOut: found.leftOut, isFull: found.isFull };
}
