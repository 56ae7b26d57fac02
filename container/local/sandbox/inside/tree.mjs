import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const ROUNDS = 40;

/** The marks that commands can have, below the limit that the agent itself was given. */
const CEILING = markOf(process.pid) ?? 0;

/** @param {number} call */
export function markFor(call) {
  return CEILING - 1 - (call % Math.floor(CEILING / 2));
}

/** @param {number | string} pid */
function markOf(pid) {
  try {
    const limits = readFileSync(`/proc/${pid}/limits`, "latin1");
    return Number(/^Max msgqueue size\s+(\d+)/m.exec(limits)?.[1]);
  } catch {
    return undefined;
  }
}

/** @param {number} mark */
function marked(mark) {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && markOf(name) === mark);
  return pids.map(Number).filter(isAlive);
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return !/^[ZX]$/.test(stat.slice(stat.lastIndexOf(")") + 2)[0] ?? "X");
  } catch {
    return false;
  }
}

/**
 * Kills everything that carries the mark, daemons and orphans too, and says whether nothing is left. Each is stopped
 * first, so that it does not fork while the others die.
 * @param {number} mark
 */
export async function killMarked(mark) {
  for (let round = 0; round < ROUNDS; round++) {
    const pids = marked(mark);
    if (pids.length === 0) return true;
    for (const signal of /** @type {const} */ (["SIGSTOP", "SIGKILL"])) {
      for (const pid of pids) send(pid, signal);
    }
    await sleep(round < 5 ? 1 : 20);
  }
  return false;
}

/**
 * @param {number} pid a negative number is a process group
 * @param {NodeJS.Signals} signal
 */
export function send(pid, signal) {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended by itself in the meantime.
  }
}
