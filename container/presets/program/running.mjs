import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isInstalled } from "./install.mjs";
import { wantNoMore, wantedOf } from "./again.mjs";
import { end, isAlive, lookAt } from "./processes.mjs";

/** What has been started is noted in `/tmp`, which ends with the processes of a sandbox. */

/** @typedef {import("./presets.mjs").Preset} Preset */
/** @typedef {{ pid: number, startedAt: number, sinceMs: number, url?: string }} Running */

const NOTES = join(tmpdir(), "presets");
const STOPS_WITHIN_MS = 15_000;
const ANSWERS_WITHIN_MS = 5_000;

/** @param {Preset} preset @returns {Running | undefined} */
export function runningOf({ name }) {
  try {
    /** @type {Running} */
    const running = JSON.parse(readFileSync(join(NOTES, `${name}.json`), "utf8"));
    return isAlive(running) ? running : undefined;
  } catch {
    return undefined;
  }
}

/** @param {Preset} preset @param {Running} running */
export function noteRunning({ name }, running) {
  mkdirSync(NOTES, { recursive: true });
  writeFileSync(join(NOTES, `${name}.json`), JSON.stringify(running));
}

/** Who is starting it. @param {Pick<Preset, "name">} preset */
function starterOf({ name }) {
  try {
    const starter = JSON.parse(readFileSync(startingOf(name), "utf8"));
    return isAlive(starter) ? starter : undefined;
  } catch {
    // Nobody is at it, or has ended in the middle of saying so.
    return undefined;
  }
}

/** @param {string} name */
function startingOf(name) {
  return join(NOTES, `${name}.starting`);
}

/**
 * Lets one process at a time do its work with a preset. False where another one is still at it.
 * @param {Preset} preset
 * @param {() => Promise<void>} work
 */
export async function alone(preset, work) {
  mkdirSync(NOTES, { recursive: true });
  const path = startingOf(preset.name);
  // It is there as a whole or not at all: who finds half of one takes it for a dead process's.
  const draft = `${path}-${process.pid}`;
  writeFileSync(draft, JSON.stringify(lookAt(process.pid)));
  try {
    if (!isLinked(draft, path) && (starterOf(preset) !== undefined || !isTakenOver(draft, path))) return false;
  } finally {
    rmSync(draft, { force: true });
  }
  const forget = () => rmSync(path, { force: true });
  process.once("exit", forget);
  try {
    await work();
    return true;
  } finally {
    process.off("exit", forget);
    forget();
  }
}

/** False where there is such a file. @param {string} from @param {string} to */
function isLinked(from, to) {
  try {
    linkSync(from, to);
    return true;
  } catch {
    return false;
  }
}

/** In the place of a dead process's note; whoever did the same a moment earlier keeps it. @param {string} draft @param {string} path */
function isTakenOver(draft, path) {
  const old = `${draft}-old`;
  try {
    renameSync(path, old);
    if (isAlive(JSON.parse(readFileSync(old, "utf8")))) linkSync(old, path);
  } catch {
    // It is gone already, or nobody's.
  } finally {
    rmSync(old, { force: true });
  }
  return isLinked(draft, path);
}

/** @param {Preset} preset @param {(line: string) => void} say */
export async function stop(preset, say) {
  wantNoMore(preset);
  // As it is where this very call has woken the sandbox: whoever begins after this finds that it is not wanted.
  const starter = starterOf(preset);
  if (starter !== undefined) await end(starter, STOPS_WITHIN_MS);
  const running = runningOf(preset);
  if (running !== undefined) await end(running, STOPS_WITHIN_MS);
  wantNoMore(preset);
  say(`${preset.title} ${starter === undefined && running === undefined ? "does not run" : "has stopped"}.`);
}

/** @param {Preset} preset */
export async function describeState(preset) {
  // In this order: a starter notes what runs before it is gone.
  const starter = starterOf(preset);
  const running = runningOf(preset);
  if (running === undefined && starter !== undefined) return "is being started";
  const problem = wantedOf(preset)?.problem?.split("\n")[0];
  const whyNot = problem === undefined ? "" : `; it did not start again when the sandbox woke: ${problem}`;
  if (!isInstalled(preset)) return `not installed${whyNot}`;
  if (preset.start === undefined) return "installed";
  if (running === undefined) return `installed, does not run${whyNot}`;
  const minutes = Math.floor((Date.now() - running.sinceMs) / 60_000);
  const isAnswering = await isReady(preset);
  const where = running.url === undefined ? "" : `, at ${running.url}`;
  return `runs for ${minutes} min as process ${running.pid}${isAnswering ? "" : ", but does not answer"}${where}`;
}

/** Whether it answers as it does when all of it is there. @param {Preset} preset @returns {Promise<boolean>} */
export async function isReady({ port, ready = "/" }) {
  return await new Promise((resolve) => {
    // Never by way of the proxy, whatever the environment says.
    const request = get({ host: "127.0.0.1", port, path: ready, timeout: ANSWERS_WITHIN_MS, agent: false });
    request.once("response", (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.once("timeout", () => request.destroy());
    request.once("close", () => resolve(false));
    request.once("error", () => resolve(false));
  });
}

/** @param {number} port @returns {Promise<boolean>} */
export async function isTaken(port) {
  return await new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
