import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { resume, wantAgain } from "./again.mjs";
import { cacheOf, install, programPath } from "./install.mjs";
import { lastLines } from "./log.mjs";
import { HOME, Problem } from "./presets.mjs";
import { end, isAlive, lookAt, startedWith } from "./processes.mjs";
import { alone, isReady, isTaken, noteRunning, runningOf } from "./running.mjs";
import { exposePort } from "./suite.mjs";

/** @typedef {import("./presets.mjs").Preset} Preset */
/** @typedef {import("./running.mjs").Running} Running */
/** @typedef {(line: string) => void} Say */

const READY_WITHIN_MS = 300_000;
const LOOK_AGAIN_MS = 250;
const ENDS_WITHIN_MS = 5_000;

/**
 * Installs what is missing, writes the agent's settings, and starts it as a daemon that lives on after this command,
 * on every driver. Whatever does not work leaves nothing running. Where it is being started already, that comes first.
 * @param {Preset} preset
 * @param {Say} say
 */
export async function start(preset, say) {
  for (let isFirst = true; !(await alone(preset, async () => await bringUp(preset, say))); isFirst = false) {
    if (isFirst) say(`${preset.title} is being started already; waiting for that.`);
    await pause(LOOK_AGAIN_MS);
  }
}

/** Starts it where it ran when the sandbox fell asleep. Whoever starts it now is not disturbed. @param {Preset} preset @param {Say} say */
export async function startAgain(preset, say) {
  await alone(preset, async () => await resume(preset, async () => await bringUp(preset, say)));
}

/** @param {Preset} preset @param {Say} say */
async function bringUp(preset, say) {
  const running = runningOf(preset);
  if (running !== undefined) return say(`${preset.title} runs already${at(running.url)}.`);
  const { port } = preset;
  if (port !== undefined && (await isTaken(port))) {
    throw new Problem(`Something else listens on port ${port}; end that, and start ${preset.title} again.`);
  }
  await install(preset, say);
  const url = preset.expose === true && port !== undefined ? await expose(port, say) : undefined;
  await configure(preset, url, say);
  if (preset.start !== undefined) {
    await launch(preset, url, say);
    await wantAgain(preset);
  }
  say(`${preset.title} ${preset.start === undefined ? "is installed" : "runs"}${at(url)}. ${preset.hint}`);
}

/** @param {string | undefined} url */
function at(url) {
  return url === undefined ? "" : ` at ${url}`;
}

/** Without a preview an agent is of use all the same. @param {number} port @param {Say} say */
async function expose(port, say) {
  const { url, problem } = await exposePort(port);
  if (problem !== undefined) say(`There is no preview of port ${port}: ${problem}`);
  return url;
}

/** @param {Preset} preset @param {string | undefined} url @param {Say} say */
async function configure(preset, url, say) {
  const script = join(preset.folder, "configure.mjs");
  if (!existsSync(script)) return;
  const { configure } = await import(pathToFileURL(script).href);
  await configure({ home: HOME, modules: join(cacheOf(preset), "node_modules"), port: preset.port, url, say });
}

/** @param {Preset} preset @param {string | undefined} url @param {Say} say */
async function launch(preset, url, say) {
  const [program = "", ...args] = preset.start ?? [];
  const log = `${cacheOf(preset)}.log`;
  mkdirSync(dirname(log), { recursive: true });
  const file = openSync(log, "w");
  const command = Object.hasOwn(preset.programs, program) ? programPath(preset, program) : program;
  // By which those are found that it starts in sessions of their own, and leaves at once.
  const mark = { PINCER_PRESET_START: randomUUID() };
  const child = spawn(command, args, {
    cwd: HOME,
    env: { ...process.env, NO_COLOR: "1", ...envOf(preset), ...mark },
    detached: true,
    stdio: ["ignore", file, file],
  });
  closeSync(file);
  const running = await begun(child, preset);
  const marked = () => startedWith(`PINCER_PRESET_START=${mark.PINCER_PRESET_START}`);
  const endAll = async () => await end(running, ENDS_WITHIN_MS, marked);
  const giveUp = () => void endAll().finally(() => process.exit(130));
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) process.once(signal, giveUp);
  say(`Starting ${preset.title}; its log is ${log}.`);
  const problem = await waitUntilReady(preset, running);
  if (problem === undefined) {
    noteRunning(preset, { ...running, sinceMs: Date.now(), ...(url === undefined ? {} : { url }) });
    return child.unref();
  }
  await endAll();
  throw new Problem(`${preset.title} ${problem}. The end of ${log}:\n${lastLines(readFileSync(log, "utf8"))}`);
}

/** @param {Preset} preset */
function envOf({ env = {}, folder }) {
  return Object.fromEntries(Object.entries(env).map(([name, value]) => [name, value.replaceAll("{folder}", folder)]));
}

/** @param {import("node:child_process").ChildProcess} child @param {Preset} preset */
async function begun(child, { title }) {
  await new Promise((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", (error) => reject(new Problem(`${title} cannot be started: ${error.message}`)));
  });
  const { pid = 0 } = child;
  return { pid, startedAt: lookAt(pid)?.startedAt ?? 0 };
}

/** Why it is not. @param {Preset} preset @param {{ pid: number, startedAt: number }} running */
async function waitUntilReady(preset, running) {
  for (const deadline = Date.now() + READY_WITHIN_MS; Date.now() < deadline; await pause(LOOK_AGAIN_MS)) {
    if (!isAlive(running)) return "has ended";
    if (await isReady(preset)) return undefined;
  }
  return `was not ready within ${READY_WITHIN_MS / 1_000} s`;
}
