import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { HOME, Problem } from "./presets.mjs";
import { sandboxName } from "./suite.mjs";

/**
 * An agent that was started, and not stopped since, is started again when its sandbox wakes. That is noted where
 * snapshots hold it, with the sandbox's name: a copy of the sandbox wakes without its agents.
 */

/** @typedef {import("./presets.mjs").Preset} Preset */
/**
 * `problem`: why it did not start when the sandbox woke.
 * @typedef {{ sandbox: string, problem?: string }} Wanted
 */

const NOTES = join(HOME, ".local", "state", "presets");
const ASKS = 5;
const ASK_AGAIN_MS = 1_000;

/** @param {Pick<Preset, "name">} preset @returns {Wanted | undefined} */
export function wantedOf({ name }) {
  try {
    return JSON.parse(readFileSync(noteOf(name), "utf8"));
  } catch {
    return undefined;
  }
}

/** @param {Pick<Preset, "name">} preset @param {Wanted} wanted */
function noteWanted({ name }, wanted) {
  mkdirSync(NOTES, { recursive: true });
  writeFileSync(`${noteOf(name)}.new`, JSON.stringify(wanted));
  renameSync(`${noteOf(name)}.new`, noteOf(name));
}

/** Where the suite does not say which sandbox this is, it cannot be told from a copy. @param {Preset} preset */
export async function wantAgain(preset) {
  const sandbox = await sandboxName();
  if (sandbox !== undefined) noteWanted(preset, { sandbox });
}

/** @param {Pick<Preset, "name">} preset */
export function wantNoMore({ name }) {
  rmSync(noteOf(name), { force: true });
}

/** @param {string} name */
function noteOf(name) {
  return join(NOTES, `${name}.json`);
}

/** Starts all that are wanted again, each by itself: one that hangs holds up no other. @param {string} program */
export async function resumeAll(program) {
  await Promise.all(
    wantedNames().map(async (name) => {
      const child = spawn(process.execPath, [program, "resume", name], { stdio: "inherit" });
      await new Promise((resolve) => child.once("close", resolve).once("error", resolve));
    }),
  );
}

function wantedNames() {
  try {
    return readdirSync(NOTES).flatMap((file) => (file.endsWith(".json") ? [file.slice(0, -".json".length)] : []));
  } catch {
    return [];
  }
}

/**
 * Starts one where it is wanted here, and notes why it could not.
 * @param {Preset} preset
 * @param {() => Promise<void>} start
 */
export async function resume(preset, start) {
  const wanted = wantedOf(preset);
  if (wanted === undefined) return;
  try {
    const sandbox = await askPatiently();
    if (sandbox !== undefined && sandbox !== wanted.sandbox) return wantNoMore(preset);
    if (sandbox === undefined) throw new Problem("The suite does not say which sandbox this is.");
    await start();
  } catch (failure) {
    if (!(failure instanceof Problem)) throw failure;
    if (wantedOf(preset) !== undefined) noteWanted(preset, { ...wanted, problem: failure.message });
    throw failure;
  }
}

/** The way out may be there a moment after the sandbox. */
async function askPatiently() {
  for (let asks = 1; ; asks++) {
    const sandbox = await sandboxName();
    if (sandbox !== undefined || asks === ASKS) return sandbox;
    await pause(ASK_AGAIN_MS);
  }
}
