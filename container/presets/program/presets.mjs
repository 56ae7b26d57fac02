import { existsSync, readFileSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";

/**
 * What `preset.json` says. `node` is the least version; `install` has packages with exact versions, `programs` where
 * each program lies below their `node_modules`, with `{platform}` as in linux-x64. What has no `start` is a command line
 * for a person or another agent; `env` is what its start has beside the environment, with `{folder}` for the preset's. `kept` says which folders of HOME hold what lasts: snapshots have them, and neither
 * programs nor logs, which lie in `.cache`.
 * @typedef {{
 *   title: string, description: string, node: string, install: Record<string, string>, programs: Record<string, string>,
 *   start?: string[], env?: Record<string, string>, port?: number, ready?: string, kept: string[], expose?: boolean, hint: string,
 * }} Description
 * @typedef {Description & { name: string, folder: string }} Preset
 */

/** What a person is told as it is, in place of where it happened. */
export class Problem extends Error {}

/** `/workspace` in every sandbox. */
export const HOME = homedir();
const PRESETS = dirname(import.meta.dirname);

/** Those whose folders lie beside this program. */
export function presetNames() {
  return readdirSync(PRESETS).filter((name) => existsSync(join(PRESETS, name, "preset.json")));
}

/** @param {string} name @returns {Preset} */
export function readPreset(name) {
  if (!presetNames().includes(name)) {
    throw new Problem(`There is no preset ${JSON.stringify(name)}. There is: ${presetNames().join(", ")}.`);
  }
  const folder = join(PRESETS, name);
  return { ...JSON.parse(readFileSync(join(folder, "preset.json"), "utf8")), name, folder };
}
