import { mkdirSync, readFileSync, readdirSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Problem } from "./presets.mjs";

/** Names that exist only in a sandbox. They need no key, and most programs want one. */
export const SUITE_URL = "http://pincer.internal/mcp";
export const MODEL_URL = "http://model.internal";
export const BROWSER_URL = "http://browser.internal";
export const ANY_KEY = "sandbox";
/** Which the suite's own model is asked for by. */
export const MODEL = "default";
export const SKILLS = "/opt/skills";

/** @typedef {{ [name: string]: unknown }} Settings */

/** What a file of settings holds; nothing where there is none. @param {string} path @param {(text: string) => unknown} parse */
export function readSettings(path, parse = JSON.parse) {
  let text;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return {};
  }
  try {
    const settings = parse(text);
    if (isSettings(settings)) return settings;
  } catch {
    // Said below.
  }
  throw new Problem(`${path} holds no settings that can be read; mend it or move it away, and start this again.`);
}

/** Whole or not at all. @param {string} path @param {Settings} settings */
export function writeSettings(path, settings) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.new`, `${JSON.stringify(settings, undefined, 2)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** Adds to a file of settings what is not in it: whatever a person has set stays. @param {string} path @param {Settings} ours */
export function fillSettings(path, ours) {
  writeSettings(path, filled(readSettings(path), ours));
}

/** @param {Settings} theirs @param {Settings} ours @returns {Settings} */
export function filled(theirs, ours) {
  const both = { ...ours, ...theirs };
  for (const [name, value] of Object.entries(ours)) {
    const its = theirs[name];
    if (isSettings(its) && isSettings(value)) both[name] = filled(its, value);
  }
  return both;
}

/** @param {unknown} value @returns {value is Settings} */
export function isSettings(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Lets an agent find the suite's skills beside those of its person. @param {string} folder */
export function linkSkills(folder) {
  mkdirSync(folder, { recursive: true });
  for (const name of skillNames()) {
    try {
      symlinkSync(join(SKILLS, name), join(folder, name));
    } catch {
      // It is there, or the person has one of that name.
    }
  }
}

function skillNames() {
  try {
    return readdirSync(SKILLS);
  } catch {
    return [];
  }
}
