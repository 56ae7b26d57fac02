import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isInstalled } from "./install.mjs";
import { Problem } from "./presets.mjs";
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

/**
 * Lets one `preset start` at a time do its work, and not the second where the first is still at it.
 * @template T
 * @param {Preset} preset
 * @param {() => Promise<T>} work
 */
export async function alone({ name, title }, work) {
  mkdirSync(NOTES, { recursive: true });
  const path = join(NOTES, `${name}.starting`);
  const own = JSON.stringify(lookAt(process.pid));
  try {
    if (!isAlive(JSON.parse(readFileSync(path, "utf8")))) rmSync(path);
  } catch {
    // Nobody is at it, or has ended in the middle of saying so.
    rmSync(path, { force: true });
  }
  // It is there as a whole or not at all: who finds half of one takes it for a dead process's.
  const draft = `${path}-${process.pid}`;
  writeFileSync(draft, own);
  try {
    linkSync(draft, path);
  } catch {
    throw new Problem(`${title} is being started already.`);
  } finally {
    rmSync(draft, { force: true });
  }
  const forget = () => rmSync(path, { force: true });
  process.once("exit", forget);
  try {
    return await work();
  } finally {
    process.off("exit", forget);
    forget();
  }
}

/** @param {Preset} preset @param {(line: string) => void} say */
export async function stop(preset, say) {
  const running = runningOf(preset);
  if (running === undefined) return say(`${preset.title} does not run.`);
  await end(running, STOPS_WITHIN_MS);
  say(`${preset.title} has stopped.`);
}

/** @param {Preset} preset */
export async function describeState(preset) {
  if (!isInstalled(preset)) return "not installed";
  if (preset.start === undefined) return "installed";
  const running = runningOf(preset);
  if (running === undefined) return "installed, does not run";
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
