import { readFile } from "node:fs/promises";
import path from "node:path";
import { parseEnv } from "node:util";
import { SettingsError, parseSettings } from "../../servers/shared/settings.ts";
import { LaunchProblem } from "./launch-problem.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");

/** The settings that are the user's own in local mode; the launcher makes all the others. */
const USERS_OWN = /^(MODEL|AI_GATEWAY)_/;

/** The user's settings from `.dev.vars` and, before it, the environment. */
export async function readUserSettings(environment: NodeJS.ProcessEnv): Promise<Record<string, string>> {
  const settings: Record<string, string> = {};
  for (const source of [await readDevVars(), environment]) {
    for (const [name, value] of Object.entries(source)) {
      if (USERS_OWN.test(name) && value !== undefined) settings[name] = value;
    }
  }
  return settings;
}

async function readDevVars(): Promise<NodeJS.Dict<string>> {
  const file = path.join(ROOT, ".dev.vars");
  try {
    return parseEnv(await readFile(file, "utf8"));
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return {};
    throw new LaunchProblem(`${file} cannot be read; make it readable, or remove it.`, { cause });
  }
}

/** Refuses to start a Worker that would refuse every request. */
export function checkSettings(settings: Readonly<Record<string, string>>): void {
  try {
    parseSettings(settings);
  } catch (error) {
    if (error instanceof SettingsError) throw new LaunchProblem(error.message, { cause: error });
    throw error;
  }
}
