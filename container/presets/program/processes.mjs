import { readFileSync, readdirSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

const LOOK_AGAIN_MS = 50;

/** A process that is not over. `startedAt` tells it from a later one of the same number. @param {number} pid */
export function lookAt(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (/^[ZX]$/.test(fields[0] ?? "X")) return undefined;
    return { pid, parent: Number(fields[1]), session: Number(fields[3]), startedAt: Number(fields[19]) };
  } catch {
    return undefined;
  }
}

function lookAtAll() {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.map((pid) => lookAt(Number(pid))).filter((entry) => entry !== undefined);
}

/** @param {{ pid: number, startedAt: number }} known */
export function isAlive({ pid, startedAt }) {
  return lookAt(pid)?.startedAt === startedAt;
}

/**
 * All of its session and what comes from them. Where it has ended, what it has left in its session: until that is empty
 * nobody else is given its number.
 * @param {{ pid: number, startedAt: number }} known
 */
export function familyOf(known) {
  const own = lookAt(known.pid);
  if (own !== undefined && own.startedAt !== known.startedAt) return [];
  const all = lookAtAll();
  const family = new Set(all.filter(({ pid, session }) => pid === known.pid || session === known.pid));
  for (let before = -1; before !== family.size;) {
    before = family.size;
    const pids = new Set([...family].map((member) => member.pid));
    for (const entry of all) if (pids.has(entry.parent)) family.add(entry);
  }
  return [...family];
}

/** All that was started with this in its environment, whoever started it, and whether that is there still. @param {string} variable */
export function startedWith(variable) {
  return lookAtAll().filter(({ pid }) => environmentOf(pid).includes(variable));
}

/** Nothing of what has just ended, or is another user's. @param {number} pid */
function environmentOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
  } catch {
    return [];
  }
}

/**
 * Asks a process to end, and ends it where that takes longer, with all that it leaves behind.
 * @param {{ pid: number, startedAt: number }} known
 * @param {number} withinMs
 * @param {() => ReturnType<typeof familyOf>} others What ends with it, beside its family.
 */
export async function end(known, withinMs, others = () => []) {
  // Until all that it has started is known it starts nothing more.
  if (isAlive(known)) send(known.pid, "SIGSTOP");
  const all = () => [...others(), ...familyOf(known)];
  const seen = all();
  if (isAlive(known)) for (const signal of /** @type {const} */ (["SIGTERM", "SIGCONT"])) send(known.pid, signal);
  for (const deadline = Date.now() + withinMs; isAlive(known) && Date.now() < deadline;) await pause(LOOK_AGAIN_MS);
  const left = [...seen, ...all()].filter(isAlive);
  for (const { pid } of left) send(pid, "SIGKILL");
  while (left.some(isAlive)) await pause(LOOK_AGAIN_MS);
}

/** @param {number} pid @param {NodeJS.Signals} signal */
function send(pid, signal) {
  try {
    process.kill(pid, signal);
  } catch {
    // It has just ended.
  }
}
