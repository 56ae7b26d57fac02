import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const ROUNDS = 40;
/** So often nothing may be found while processes are started, before all stand still. */
const MAX_MISSED = 5;

const MAX_CEILING = 800_000;

/** The marks that commands can have, below the limit that the agent itself was given. */
const CEILING = Math.min(MAX_CEILING, markOf(process.pid) ?? 0);

/** Below it no command was given a mark yet. */
let lowestGiven = CEILING;

/** @param {number} call */
export function markFor(call) {
  return CEILING - 1 - (call % Math.floor(CEILING / 2));
}

/** The mark for a command that is about to start. @param {number} call */
export function giveMark(call) {
  const mark = markFor(call);
  lowestGiven = Math.min(lowestGiven, mark);
  return mark;
}

/** The hard limit: nobody inside can raise it again. @param {number | string} pid */
function markOf(pid) {
  try {
    const limits = readFileSync(`/proc/${pid}/limits`, "latin1");
    const hard = /^Max msgqueue size\s+\S+\s+(\S+)/m.exec(limits)?.[1];
    return hard === "unlimited" ? Infinity : Number(hard);
  } catch {
    return undefined;
  }
}

/** State, parent and session of a process that is not over. @param {number} pid */
function statOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const [state = "X", parent, , session] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (/^[ZX]$/.test(state)) return undefined;
    return { pid, parent: Number(parent), session: Number(session), isStopped: state === "T" };
  } catch {
    return undefined;
  }
}

/** The first process that a process has started, of those that are not over. @param {number} parent */
export function childOf(parent) {
  return alive().find((entry) => entry.parent === parent)?.pid;
}

function alive() {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  return pids.map((name) => statOf(Number(name))).filter((entry) => entry !== undefined);
}

/**
 * What carries the mark, is of the command's session or comes from either. A process can only lower its mark, which
 * then is one that no command was given yet: whoever has such a one hides from its own command's end.
 * @param {number} mark
 * @param {number | undefined} session
 */
function belonging(mark, session) {
  const all = alive();
  /** @type {Set<number>} */
  const found = new Set();
  for (const entry of all) {
    const own = markOf(entry.pid);
    if (own === mark || (own !== undefined && own < lowestGiven) || entry.session === session) found.add(entry.pid);
  }
  for (let before = -1; before !== found.size;) {
    before = found.size;
    for (const entry of all) if (found.has(entry.parent)) found.add(entry.pid);
  }
  return [...found];
}

/** The number of the process or thread that was started last (`proc_loadavg(5)`). */
function lastStarted() {
  return readFileSync("/proc/loadavg", "latin1").trimEnd().split(" ").at(-1);
}

/**
 * Kills all that belongs to a command, daemons and orphans too, and says whether nothing is left. Each is stopped
 * first, so that it does not fork while the others die. What forks and ends at once may be missed by a look, and what
 * is being forked by one more: so it is over when two find nothing, between which nothing was started.
 * @param {number} mark
 * @param {number | undefined} session the command's own, while it runs
 */
export async function killTree(mark, session) {
  let [missed, before] = [0, lastStarted()];
  for (let round = 0; round < ROUNDS; round++) {
    const pids = missed < MAX_MISSED ? belonging(mark, session) : inStandstill(() => belonging(mark, session));
    const last = lastStarted();
    missed = pids.length === 0 ? missed + 1 : 0;
    if (missed > 1 && (last === before || missed > MAX_MISSED)) return true;
    before = last;
    for (const signal of /** @type {const} */ (["SIGSTOP", "SIGKILL"])) {
      for (const pid of pids) send(pid, signal);
    }
    await sleep(round < 5 ? 1 : 20);
  }
  return false;
}

/**
 * Looks while the whole sandbox stands still but for this process, so that nothing can come between. What is found stays
 * stopped; the others go on as they were, children before parents, who take no notice then.
 * @param {() => readonly number[]} look
 */
function inStandstill(look) {
  const stopped = alive().flatMap(({ pid, isStopped }) => (isStopped ? [pid] : []));
  send(-1, "SIGSTOP");
  const found = look();
  const stay = new Set([...stopped, ...found]);
  const others = alive().flatMap(({ pid }) => (stay.has(pid) ? [] : [pid]));
  for (const pid of others.toSorted((a, b) => b - a)) send(pid, "SIGCONT");
  return found;
}

/**
 * @param {number} pid a negative number is a process group, and -1 all of the sandbox but for this process
 * @param {NodeJS.Signals} signal
 */
export function send(pid, signal) {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended by itself in the meantime.
  }
}
