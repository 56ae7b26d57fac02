import { randomInt } from "node:crypto";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { parseEnv } from "node:util";
import { withheldInside } from "../../../auth/inside.ts";
import { type Settings, SettingsError, parseSettings } from "../../../servers/shared/settings.ts";
import { newSecret } from "./data.ts";
import { LaunchProblem } from "./problem.ts";

const ROOT = path.resolve(import.meta.dirname, "../../..");

/** The settings that are the user's own in local mode; the launcher makes all the others. */
const USERS_OWN =
  /^(MODEL_|AI_GATEWAY_|DELEGATE_|FILES_|ARTIFACTS_|AUDIT_|SECRET_|SANDBOX_SECRETS$|SNAPSHOT_AFTER$|LIMITS$|INSIDE_WITHHOLDS$|REDIRECT_URIS$|PREREGISTERED_CLIENTS$)/;
/** Those of them that the egress proxy needs, and nobody else. */
const EGRESS_OWN = /^(SECRET_|SANDBOX_SECRETS$)/;

/** Nobody else waits on the person's own machine, and a script of theirs is as quick as it likes. */
const NO_CALL_LIMITS = JSON.stringify({ admin: { calls_per_minute: null, concurrent_calls: null } });

interface Facts {
  /** Settings of the user go before those of `.dev.vars`. */
  readonly environment: Readonly<NodeJS.ProcessEnv>;
  readonly url: string;
  readonly allowedHosts: readonly string[];
  readonly signingSecret: string;
}

/** What the suite is started with, but for what is known only when the parts run. */
export async function makeSettings({ environment, url, allowedHosts, signingSecret }: Facts) {
  const own: Readonly<Record<string, string>> = await readUserSettings(environment);
  return {
    LIMITS: NO_CALL_LIMITS,
    ...own,
    PUBLIC_URL: url,
    IDENTITY: "local",
    LOCAL_SIGN_IN_CODE: newSignInCode(),
    LOCAL_ADMIN_SECRET: newSecret(),
    SIGNING_SECRET: signingSecret,
    SANDBOX_DRIVER: "local",
    LOCAL_RUNTIME_SECRET: newSecret(),
    LOCAL_INSIDE_SECRET: newSecret(),
    ALLOWED_HOSTS: allowedHosts.join(","),
  };
}

/** Refuses to start a Worker that would refuse every request. */
export function checkSettings(settings: Readonly<Record<string, string>>): Settings {
  try {
    const parsed = parseSettings(settings);
    withheldInside(parsed);
    return parsed;
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    throw new LaunchProblem(`${error.message} Correct that in the environment or in .dev.vars.`, { cause: error });
  }
}

/** For the banner. */
export function describeModel(settings: Readonly<Record<string, string>>): string {
  const { AI_GATEWAY_ID: gateway, MODEL_BASE_URL: baseUrl } = settings;
  if (baseUrl !== undefined) return new URL(baseUrl).host;
  return gateway === undefined
    ? "no model: set MODEL_BASE_URL and MODEL_API_KEY, see the README"
    : `AI Gateway ${gateway}`;
}

/** No vowels, no digits that look like letters: easy to copy by eye, and it spells nothing. */
const CODE_ALPHABET = "BCDFGHJKLMNPQRSTVWXZ2456789";

function newSignInCode(): string {
  const letter = (): string => CODE_ALPHABET.charAt(randomInt(CODE_ALPHABET.length));
  const group = (): string => Array.from({ length: 4 }, letter).join("");
  return `${group()}-${group()}`;
}

/** What the Worker is told: its sandbox runs here, and the egress proxy adds the secrets. */
export function settingsOfWorker(settings: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(settings).filter(([name]) => !EGRESS_OWN.test(name)));
}

/** Takes the user's settings out of the environment, so that nothing which is started inherits them. */
export function takeUserSettings(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const names = Object.keys(environment).filter((name) => USERS_OWN.test(name));
  const taken = Object.fromEntries(names.map((name) => [name, environment[name]]));
  for (const name of names) delete environment[name];
  return taken;
}

/** The user's settings from `.dev.vars` and, before it, the environment. */
async function readUserSettings(environment: Readonly<NodeJS.ProcessEnv>): Promise<Record<string, string>> {
  const settings: Record<string, string> = {};
  for (const source of [await readDevVars(), environment]) {
    for (const [name, value] of Object.entries(source)) {
      if (USERS_OWN.test(name) && value !== undefined && value !== "") settings[name] = value;
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
