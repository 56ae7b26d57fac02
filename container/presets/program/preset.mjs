#!/usr/bin/env node
import { importMoltworker } from "../openclaw/moltworker.mjs";
import { Problem, presetNames, readPreset } from "./presets.mjs";
import { resumeAll } from "./again.mjs";
import { start, startAgain } from "./start.mjs";
import { describeState, stop } from "./running.mjs";

/**
 * `preset`: installs agents in this sandbox and starts them. Runs inside, as one more program of whoever uses the
 * sandbox, and holds no secret: what agents ask of the suite goes to the names that exist only here.
 */

const USAGE = `preset list                     what there is
preset start NAME               installs it where it is missing, and starts it
preset stop NAME                and it does not start again when the sandbox wakes
preset status                   what runs
preset import-moltworker PATH   brings a Moltworker's R2 backup to openclaw: a folder, or a .tar, .tar.gz or .tar.zst`;

/** @type {Readonly<Record<string, (argument: string) => Promise<void> | void>>} */
const WITH_ARGUMENT = {
  start: async (name) => await start(readPreset(name), say),
  resume: async (name) => await startAgain(readPreset(name), say),
  stop: async (name) => await stop(readPreset(name), say),
  "import-moltworker": async (path) => await importMoltworker(path, say),
};

/** @type {Readonly<Record<string, () => Promise<void> | void>>} */
const ALONE = {
  list: () => {
    for (const { name, title, description } of all()) say(`${name}\t${title}: ${description}`);
  },
  // What a sandbox runs as it wakes.
  resume: async () => await resumeAll(import.meta.filename),
  status: async () => {
    for (const preset of all()) say(`${preset.name}\t${await describeState(preset)}`);
  },
};

function all() {
  return presetNames().map((name) => readPreset(name));
}

/** @param {string} line */
function say(line) {
  console.log(line);
}

async function main() {
  const [command = "", argument, ...rest] = process.argv.slice(2);
  if (rest.length === 0) {
    if (argument === undefined && Object.hasOwn(ALONE, command)) return await ALONE[command]?.();
    if (argument !== undefined && Object.hasOwn(WITH_ARGUMENT, command)) {
      return await WITH_ARGUMENT[command]?.(argument);
    }
  }
  console.error(USAGE);
  process.exitCode = 2;
}

try {
  await main();
} catch (failure) {
  console.error(failure instanceof Problem ? failure.message : failure);
  process.exitCode = 1;
}
