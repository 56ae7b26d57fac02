import { execFile } from "node:child_process";
import { open, realpath } from "node:fs/promises";
import { basename, delimiter, dirname, join } from "node:path";
import { promisify } from "node:util";
import { CHROME_FOLDER, unpackBundledChrome } from "./bundled.ts";

/** A Chrome that has answered `--version`. */
export interface Chrome {
  /** The program itself, no wrapper script. */
  readonly executable: string;
  /** `156.0.8078.79`. */
  readonly version: string;
  readonly origin: "system" | "bundled";
  /** What it needs in its environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Folders outside `/usr` that it reads, to be mounted where it runs. */
  readonly folders: readonly string[];
}

export type FoundChrome =
  | { readonly found: true; readonly chrome: Chrome }
  | { readonly found: false; readonly problem: string };

export interface FindOptions {
  /** Absolute; the bundled Chrome is unpacked to `chrome/` in it, once. */
  readonly dataDir: string;
  /** Told what takes long, one line each. */
  readonly report: (line: string) => void;
  /** The search path for programs. */
  readonly path: string;
  /** Look for this kind alone. */
  readonly origin?: Chrome["origin"];
}

const VERSION_TIMEOUT_MS = 20_000;
/** Where packages put the program that their wrapper in `/usr/bin` starts. */
const SYSTEM_EXECUTABLES = [
  "/opt/google/chrome/chrome",
  "/usr/lib/chromium/chromium",
  "/usr/lib64/chromium-browser/chromium-browser",
  "/usr/lib/chromium-browser/chromium-browser",
];
const PROGRAM_NAMES = ["google-chrome-stable", "google-chrome", "chromium", "chromium-browser", "chrome"];
const INSTALL =
  "install one (on Debian: apt install chromium) and start again; everything but the browser works without it.";

/** The system's Chrome, else the one that `@sparticuz/chromium` carries, else one sentence that says what to do. */
export async function findChrome({ dataDir, report, path, origin }: FindOptions): Promise<FoundChrome> {
  if (process.platform !== "linux") {
    return { found: false, problem: "The local browser runs on Linux only; everything else works without it." };
  }
  const system = origin === "bundled" ? undefined : await findSystemChrome(path);
  if (system !== undefined) return { found: true, chrome: system };
  const folder = join(dataDir, CHROME_FOLDER);
  try {
    const bundled = origin === "system" ? undefined : await findBundledChrome(folder, report);
    if (bundled !== undefined) return { found: true, chrome: bundled };
  } catch {
    return {
      found: false,
      problem: `The bundled Chrome could not be unpacked to ${folder}; see that 300 MB are free there and start again.`,
    };
  }
  return { found: false, problem: `No Chrome runs here; ${INSTALL}` };
}

async function findSystemChrome(path: string): Promise<Chrome | undefined> {
  const onPath = path.split(delimiter).flatMap((folder) => PROGRAM_NAMES.map((name) => join(folder, name)));
  for (const candidate of [...SYSTEM_EXECUTABLES, ...onPath]) {
    const executable = await realpath(candidate).catch(() => undefined);
    // A snap is confined in its own way and starts nowhere else.
    if (executable === undefined || basename(executable) === "snap" || !(await isProgram(executable))) continue;
    const version = await versionOf(executable, {});
    const folder = dirname(executable);
    if (version !== undefined) {
      return { executable, version, origin: "system", env: {}, folders: folder.startsWith("/usr/") ? [] : [folder] };
    }
  }
  return undefined;
}

async function findBundledChrome(parent: string, report: (line: string) => void): Promise<Chrome | undefined> {
  const bundled = await unpackBundledChrome(parent, report);
  if (bundled === undefined) return undefined;
  const { executable, folder, librariesEnv, fontsEnv } = bundled;
  // The libraries that it carries are for systems that lack them: the system's own get security updates.
  for (const env of [fontsEnv, { ...fontsEnv, ...librariesEnv }]) {
    const version = await versionOf(executable, env);
    if (version !== undefined) return { executable, version, origin: "bundled", env, folders: [folder] };
  }
  return undefined;
}

async function versionOf(executable: string, env: Readonly<Record<string, string>>): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)(executable, ["--version"], { env, timeout: VERSION_TIMEOUT_MS });
    return /\d+(\.\d+){3}/.exec(stdout)?.[0];
  } catch {
    return undefined;
  }
}

/** Whether a file is an ELF program: a wrapper script may start anything, outside of where we put Chrome. */
async function isProgram(path: string): Promise<boolean> {
  try {
    await using file = await open(path);
    const { buffer } = await file.read(new Uint8Array(4), 0, 4, 0);
    return String.fromCharCode(...buffer) === "\x7fELF";
  } catch {
    return false;
  }
}
