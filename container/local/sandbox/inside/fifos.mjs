import { execFile, execFileSync } from "node:child_process";
import { closeSync, constants, openSync, readSync, unlinkSync } from "node:fs";

/**
 * Pipes for commands. Node gives a child sockets, which `/dev/stdout` and `/dev/stderr` cannot be opened on; a named
 * pipe whose name is gone is a real one. They are made ahead, many at a time, because each `mkfifo` is a process.
 */
const FOLDER = "/run/pincer";
const BATCH = 96;
const LOW = 32;

/** @type {string[]} */
const ready = [];
let made = 0;
let isRefilling = false;

function nextNames() {
  return Array.from({ length: BATCH }, () => `${FOLDER}/${made++}`);
}

export function fillFifos() {
  const names = nextNames();
  execFileSync("/usr/bin/mkfifo", ["-m", "600", ...names]);
  ready.push(...names);
}

function refillSoon() {
  if (isRefilling || ready.length >= LOW) return;
  isRefilling = true;
  const names = nextNames();
  execFile("/usr/bin/mkfifo", ["-m", "600", ...names], (error) => {
    isRefilling = false;
    if (error === null) ready.push(...names);
  });
}

/** A pipe: `reader` never blocks, `writer` does unless `isWriterOurs`, which turns that round. */
export function openPipe({ isWriterOurs = false } = {}) {
  if (ready.length === 0) fillFifos();
  const name = ready.pop();
  if (name === undefined) throw new Error("There is no pipe.");
  refillSoon();
  const { O_RDONLY, O_WRONLY, O_NONBLOCK } = constants;
  const first = openSync(name, O_RDONLY | O_NONBLOCK);
  const writer = openSync(name, isWriterOurs ? O_WRONLY | O_NONBLOCK : O_WRONLY);
  let reader = first;
  if (isWriterOurs) {
    reader = openSync(name, O_RDONLY);
    closeSync(first);
  }
  unlinkSync(name);
  return { reader, writer };
}

const DRAIN_BYTES = 1024 * 1024;
const scratch = Buffer.allocUnsafe(64 * 1024);

/**
 * Hands over what lies in a pipe now, without waiting for more.
 * @param {number} reader
 * @param {(bytes: Buffer) => void} onBytes
 */
export function drain(reader, onBytes) {
  try {
    for (let total = 0; total < DRAIN_BYTES;) {
      const size = readSync(reader, scratch);
      if (size === 0) return;
      total += size;
      onBytes(scratch.subarray(0, size));
    }
  } catch (error) {
    if (error.code !== "EAGAIN") throw error;
  }
}
