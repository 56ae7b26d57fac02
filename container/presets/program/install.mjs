import { spawn } from "node:child_process";
import {
  accessSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { HOME, Problem } from "./presets.mjs";
import { lastLines } from "./log.mjs";

/**
 * Packages come from npm's registry into `.cache`, which no snapshot holds: agents take hundreds of megabytes, and
 * would be saved anew with each change. On a fresh disk they are installed again.
 */

/** @typedef {import("./presets.mjs").Preset} Preset */

const CACHE = join(HOME, ".cache");
const PROGRAMS = join(HOME, ".local", "bin");
/** Written last: an install that was cut short is begun again. */
const INSTALLED = "installed.json";
const PROGRESS_MS = 10_000;
const PROBE_MS = 15_000;

/** @param {Preset} preset */
export function cacheOf({ name }) {
  return join(CACHE, "presets", name);
}

/** Where a program of the preset lies. @param {Preset} preset @param {string} program */
export function programPath(preset, program) {
  const path = preset.programs[program];
  if (path === undefined) throw new Error(`${preset.name} has no program ${program}.`);
  return join(cacheOf(preset), "node_modules", path.replaceAll("{platform}", `${process.platform}-${process.arch}`));
}

/** @param {Preset} preset */
export function isInstalled(preset) {
  if (Object.keys(preset.install).length === 0) return true;
  try {
    if (readFileSync(join(cacheOf(preset), INSTALLED), "utf8") !== manifestOf(preset)) return false;
    for (const program of Object.keys(preset.programs)) accessSync(programPath(preset, program));
    return true;
  } catch {
    return false;
  }
}

/** @param {Preset} preset @param {(line: string) => void} say */
export async function install(preset, say) {
  checkNode(preset);
  if (!isInstalled(preset)) await installPackages(preset, say);
  for (const program of Object.keys(preset.programs)) link(program, programPath(preset, program), say);
}

/** @param {Preset} preset */
function checkNode({ title, node }) {
  const order = process.versions.node.localeCompare(node, "en", { numeric: true });
  if (order < 0) throw new Problem(`${title} needs Node ${node} or later; this sandbox has ${process.versions.node}.`);
}

/** @param {Preset} preset */
function manifestOf({ install }) {
  return JSON.stringify({ private: true, dependencies: install });
}

/** @param {Preset} preset @param {(line: string) => void} say */
async function installPackages(preset, say) {
  const packages = Object.entries(preset.install).map(([name, version]) => `${name}@${version}`);
  const registry = (await npm(["config", "get", "registry"], HOME)).said.trim();
  const whyNot = await whyUnreachable(registry, Object.keys(preset.install)[0] ?? "");
  const folder = cacheOf(preset);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), manifestOf(preset));
  say(`Installing ${packages.join(", ")}; that may take a minute or two.`);
  const beganMs = Date.now();
  const seconds = () => Math.round((Date.now() - beganMs) / 1_000);
  const timer = setInterval(() => say(`npm is at work for ${seconds()} s.`), PROGRESS_MS);
  // What packages do when they are installed is not needed: their programs are in them.
  const flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  // It would try for minutes.
  if (whyNot !== undefined) flags.push("--fetch-retries=0");
  const { code, said } = await npm(["install", ...flags], folder).finally(() => clearInterval(timer));
  if (code !== 0) {
    throw new Problem(`npm could not install ${packages.join(", ")}:\n${[lastLines(said), whyNot].join("\n").trim()}`);
  }
  writeFileSync(join(folder, INSTALLED), manifestOf(preset));
  if (!isInstalled(preset)) {
    throw new Problem(`${preset.title} has no program for ${process.platform} on ${process.arch}.`);
  }
  say(`Installed in ${seconds()} s.`);
}

/**
 * What to do where there is no way to npm's registry, which npm does not say.
 * @param {string} registry
 * @param {string} name
 */
async function whyUnreachable(registry, name) {
  const { protocol, hostname, port } = new URL(registry);
  const host = `${hostname}:${port === "" ? (protocol === "https:" ? 443 : 80) : port}`;
  const url = new URL(name.replace("/", "%2f"), registry.endsWith("/") ? registry : `${registry}/`);
  const reason = await fetch(url, { method: "HEAD", signal: AbortSignal.timeout(PROBE_MS) }).then(
    ({ status }) => (status === 403 || status >= 500 ? `it answered ${status}` : undefined),
    (failure) => deepestMessage(failure).split("\n")[0],
  );
  if (reason === undefined) return undefined;
  return `The npm registry ${host} cannot be reached from this sandbox (${reason}). Whoever runs Pincer opens the way: locally npm start -- --allow-host ${host}, deployed ALLOWED_HOSTS with ${host}. Then start this again.`;
}

/** @param {Error} failure @returns {string} */
function deepestMessage({ cause, message }) {
  return cause instanceof Error ? deepestMessage(cause) : message;
}

/** @param {readonly string[]} args @param {string} folder @returns {Promise<{ code: number | null, said: string }>} */
async function npm(args, folder) {
  const child = spawn("npm", [...args, "--cache", join(CACHE, "npm"), "--no-update-notifier"], {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const end = () => child.kill();
  process.once("exit", end);
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes) => (said += bytes));
  try {
    return await new Promise((resolve, reject) => {
      child.once("error", () => reject(new Problem("There is no npm in this sandbox.")));
      child.once("close", (code) => resolve({ code, said }));
    });
  } finally {
    process.off("exit", end);
  }
}

/** For whoever types its name. @param {string} program @param {string} target @param {(line: string) => void} say */
function link(program, target, say) {
  mkdirSync(PROGRAMS, { recursive: true });
  const path = join(PROGRAMS, program);
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (
    there !== undefined &&
    !(there.isSymbolicLink() && dirname(readlinkSync(path)).startsWith(join(CACHE, "presets")))
  ) {
    return say(`${path} is not the preset's and stays; the preset's is ${target}.`);
  }
  rmSync(path, { force: true });
  symlinkSync(target, path);
}
