import { existsSync, lstatSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { cp, rename, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { cacheOf } from "../program/install.mjs";
import { HOME, Problem, readPreset } from "../program/presets.mjs";
import { runningOf } from "../program/running.mjs";
import { readSettings, writeSettings } from "../program/settings.mjs";
import { unpack } from "../program/unpack.mjs";
import { fromMoltworker, moved } from "./moltworker-settings.mjs";

/** Brings a Moltworker's R2 backup to the preset `openclaw`. MOLTWORKER.md says what becomes of what, and why. */

/** @typedef {(line: string) => void} Say */
/** @typedef {{ root: string, state: string, settings: string }} Backup */

const STATE = join(HOME, ".openclaw");
/** Where its state was below the bucket, as Moltworker itself looked, and what the settings were called. */
const STATE_FOLDERS = ["openclaw", "moltbot", "clawdbot", "."];
const SETTINGS_FILES = ["openclaw.json", "moltbot.json", "clawdbot.json"];

/** Keys of models and of the old gateway, its browser, and what is of use only to a process that runs. */
const LEFT_BEHIND = [
  /^(?:devices|identity|browser|logs|tmp|cache|update-check\.json|exec-approvals\.json|credentials\/oauth\.json)$/,
  /^agents\/[^/]+\/agent\/(?:auth-profiles|auth|models)\.json$/,
  /(?:^|\/)(?:\.git|node_modules|\.last-sync|[^/]*\.(?:lock|log|tmp|sock|bak))$/,
];
/** Moltworker's own, which asks for its CDP secret; the suite's skills have the browser. */
const OLD_SKILLS = /^cloudflare-browser$/;

/** @param {string} path @param {Say} say */
export async function importMoltworker(path, say) {
  const preset = readPreset("openclaw");
  if (runningOf(preset) !== undefined) throw new Problem("OpenClaw runs: preset stop openclaw first.");
  const given = resolve(path);
  const info = statSync(given, { throwIfNoEntry: false });
  if (info === undefined) throw new Problem(`There is nothing at ${given}.`);
  const work = join(HOME, ".cache", "moltworker");
  await rm(work, { recursive: true, force: true });
  try {
    const unpacked = join(work, "unpacked");
    mkdirSync(unpacked, { recursive: true });
    if (!info.isDirectory()) await unpack(given, unpacked);
    const backup = findBackup(info.isDirectory() ? given : unpacked);
    if (backup === undefined) {
      throw new Problem(
        `There is no Moltworker backup in ${given}: no openclaw/openclaw.json, nor one by an older name.`,
      );
    }
    say(`Found ${backup.settings.slice(backup.root.length + 1)}.`);
    const fresh = join(work, "state");
    await build(backup, fresh, join(cacheOf(preset), "node_modules"), say);
    if (existsSync(STATE)) {
      const kept = `${STATE}.before-import-${new Date().toISOString().replaceAll(/[:.]/g, "-")}`;
      await rename(STATE, kept);
      say(`What was in ${STATE} is kept in ${kept}.`);
    }
    await rename(fresh, STATE);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  say(`The backup is in ${STATE}. Now: preset start openclaw`);
}

/**
 * What is in the bucket, or in the one folder that an archive of it has.
 * @param {string} root
 * @returns {Backup | undefined}
 */
function findBackup(root) {
  for (const folder of STATE_FOLDERS) {
    const state = join(root, folder);
    const name = SETTINGS_FILES.find((file) => existsSync(join(state, file)));
    if (name !== undefined) return { root, state, settings: join(state, name) };
  }
  const [only, ...others] = readdirSync(root, { withFileTypes: true });
  return only?.isDirectory() && others.length === 0 ? findBackup(join(root, only.name)) : undefined;
}

/** @param {Backup} backup @param {string} fresh @param {string} modules @param {Say} say */
async function build({ root, state, settings }, fresh, modules, say) {
  const isFlat = state === root;
  mkdirSync(fresh, { recursive: true });
  await copy(state, fresh, (name) => {
    if (SETTINGS_FILES.includes(name) || LEFT_BEHIND.some((form) => form.test(name))) return false;
    return name !== "workspace" && !(isFlat && name === "skills");
  });
  const { mapped, left, workspace } = fromMoltworker(readSettings(settings, parserOf(modules)), STATE);
  // The agent's folder was within the state or beside it, and both may be in the bucket.
  const [within, beside] = [isFlat ? "" : join(state, "workspace"), join(root, "workspace")];
  const isBeside = workspace === "beside" || !existsSync(within);
  const [used, unused] = isBeside ? [beside, within] : [within, beside];
  await copy(used, join(fresh, "workspace"), isWanted);
  await copy(unused, join(fresh, "workspace-unused"), isWanted);
  await copy(
    join(root, "skills"),
    join(fresh, "workspace", "skills"),
    (name) => isWanted(name) && !OLD_SKILLS.test(name),
  );
  for (const agent of listOf(join(fresh, "agents"))) {
    const sessions = join(fresh, "agents", agent, "sessions", "sessions.json");
    if (existsSync(sessions)) writeSettings(sessions, moved(readSettings(sessions), STATE));
  }
  writeSettings(join(fresh, "openclaw.json"), mapped);
  for (const line of left) say(`Left behind: ${line}.`);
  if (existsSync(join(fresh, "workspace-unused"))) say("A second workspace, not in use, is in workspace-unused.");
}

/** @param {string} name */
function isWanted(name) {
  return !LEFT_BEHIND[2]?.test(name);
}

/** @param {string} folder */
function listOf(folder) {
  return existsSync(folder) ? readdirSync(folder) : [];
}

/** As OpenClaw reads it itself, where that is installed. @param {string} modules */
function parserOf(modules) {
  try {
    return createRequire(join(modules, "openclaw", "package.json"))("json5").parse;
  } catch {
    return JSON.parse;
  }
}

/**
 * Files and folders alone: a link could lead anywhere.
 * @param {string} from
 * @param {string} to
 * @param {(name: string) => boolean} isWanted
 */
async function copy(from, to, isWanted) {
  if (from === "" || !existsSync(from)) return;
  const filter = (/** @type {string} */ source) => {
    const name = source.slice(from.length + 1);
    const info = lstatSync(source);
    return (info.isFile() || info.isDirectory()) && (name === "" || isWanted(name));
  };
  await cp(from, to, { recursive: true, preserveTimestamps: true, filter });
}
