// Plain JavaScript for whatever Node (18 or newer) is there: it brings the locked dependencies, then hands over to
// the Node that they pin. `node bootstrap.mjs SCRIPT [ARGUMENT...]` runs one TypeScript file of this project.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { dirname, join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const MODULES = join(ROOT, "node_modules");
/** Holds the process id of the npm that installs, and stays where an install did not come to its end. */
const INSTALLING = join(MODULES, ".installing");
const LIFELINE = pathToFileURL(join(ROOT, "container/local/lifeline.mjs")).href;
/** Saves a third of the time that the larger packages take to load. */
const COMPILE_CACHE = join(MODULES, ".cache/node");
const PARENT_PID = process.ppid;
const PARENT_CHECK_MS = 500;
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"];

/** The signal that told this process to end, if any did. */
let toldToEnd;

/** Runs a TypeScript file of this project and ends this process with its exit code. */
export async function run(script, args) {
  endWithParent();
  try {
    if (!args.includes("--no-install")) await installDependencies();
    process.exitCode = await runOnPinnedNode(join(ROOT, script), args);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}

/** A failure whose message is one sentence for the person at the terminal. */
class Problem extends Error {}

async function installDependencies() {
  const state = dependencyState();
  if (state === "current") return;
  if (state === "installed by half") removeHalfInstalled();
  // Not `npm ci`: it fails on the lock where a registry lacks the builds of optional packages for other platforms, and
  // it removes a tree that another process may be running from. Both install what is locked.
  const startedAt = Date.now();
  console.error(`Dependencies are ${state}: running npm install, which takes a minute or two.`);
  const heartbeat = setInterval(() => {
    console.error(`... still installing (${Math.round((Date.now() - startedAt) / 1000)} s)`);
  }, 15_000);
  const code = await runNpm([
    "install",
    "--no-save",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--loglevel=error",
  ]);
  clearInterval(heartbeat);
  if (toldToEnd !== undefined) process.exit(exitCodeOf(toldToEnd));
  if (code !== 0) {
    throw new Problem(
      "npm could not install the dependencies: read what it printed above, check the network, and run this again.",
    );
  }
  rmSync(INSTALLING, { force: true });
  console.error(`Dependencies are installed (${Math.round((Date.now() - startedAt) / 1000)} s).`);
}

/** Compares what is locked with what npm recorded when it last finished an install. */
export function dependencyState() {
  if (existsSync(INSTALLING)) return "installed by half";
  const installedFile = join(MODULES, ".package-lock.json");
  if (!existsSync(installedFile)) return "missing";
  const locked = readPackages(join(ROOT, "package-lock.json"));
  const installed = readPackages(installedFile);
  for (const [path, entry] of Object.entries(locked)) {
    if (path === "" || entry.link === true) continue;
    const found = installed[path];
    // Optional packages of other platforms are never installed.
    if (found === undefined ? entry.optional !== true : found.version !== entry.version) return "stale";
  }
  return "current";
}

/** npm takes a package that it has unpacked in part for a whole one: only a new tree mends that. */
function removeHalfInstalled() {
  const npmPid = Number(readFileSync(INSTALLING, "utf8"));
  if (isRunning(npmPid)) {
    throw new Problem(
      `Process ${npmPid} installs the dependencies already: wait for its end, and run this again; ` +
        "if that process is no npm, remove node_modules first.",
    );
  }
  rmSync(MODULES, { recursive: true, force: true });
}

function isRunning(pid) {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error.code === "EPERM";
  }
}

function readPackages(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8")).packages;
  } catch {
    throw new Problem(`${file} cannot be read: restore it (git checkout) or remove node_modules, and run this again.`);
  }
}

async function runNpm(args) {
  // Under npm, this may be the Node in node_modules, which is about to go.
  const { npm_execpath: npmScript, npm_node_execpath: node = process.execPath } = process.env;
  const [command, first] = npmScript?.endsWith("npm-cli.js") ? [node, [npmScript]] : ["npm", []];
  // npm's own chatter goes to stderr: `npm run token` prints a token on stdout and nothing else.
  let insisting;
  const code = await runToEnd(() => {
    const child = spawn(command, [...first, ...args], {
      cwd: ROOT,
      stdio: ["ignore", process.stderr, "inherit"],
      env: withoutKeys(process.env),
    });
    mkdirSync(MODULES, { recursive: true });
    writeFileSync(INSTALLING, String(child.pid));
    // npm goes on to its end, a minute away, after a first signal; the second one ends it.
    insisting = setInterval(() => {
      if (toldToEnd !== undefined) child.kill(toldToEnd);
    }, PARENT_CHECK_MS);
    return child;
  });
  clearInterval(insisting);
  return code;
}

/** npm has no use for the user's keys. */
function withoutKeys(environment) {
  const isKey = /^(MODEL_|AI_GATEWAY_|SECRET_|SANDBOX_SECRETS$)/;
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !isKey.test(name)));
}

function pinnedNode() {
  const pinned = join(MODULES, `node-${process.platform}-${process.arch}/bin/node`);
  if (existsSync(pinned)) return pinned;
  if (Number(process.versions.node.split(".")[0]) >= 24) return process.execPath;
  throw new Problem(
    `No pinned Node is installed for ${process.platform}-${process.arch} and this is Node ${process.versions.node}: ` +
      "install Node 24 or newer (https://nodejs.org), or leave out --no-install.",
  );
}

/** The script ends when this process does, even by SIGKILL: see lifeline.mjs. */
async function runOnPinnedNode(script, args) {
  const node = pinnedNode();
  return await runToEnd(() =>
    spawn(node, [`--import=${LIFELINE}`, script, ...args], {
      stdio: ["inherit", "inherit", "inherit", "ipc"],
      env: { ...process.env, NODE_COMPILE_CACHE: COMPILE_CACHE, PINCER_BOOTSTRAP_PID: String(process.pid) },
    }),
  );
}

/**
 * Passes every signal on to the child and resolves to its exit code, as a shell would say it. A signal that comes while
 * it starts is heard too: it would end this process alone.
 */
function runToEnd(start) {
  const passOn = (signal) => {
    toldToEnd = signal;
    child.kill(signal);
  };
  for (const signal of SIGNALS) process.on(signal, passOn);
  const child = start();
  return new Promise((done) => {
    child.once("error", (error) => {
      console.error(`${child.spawnfile} could not be started: ${error.message}.`);
      done(127);
    });
    child.once("exit", (code, signal) => {
      for (const name of SIGNALS) process.off(name, passOn);
      done(code ?? exitCodeOf(signal));
    });
  });
}

function exitCodeOf(signal) {
  return 128 + constants.signals[signal];
}

/** Nobody passes SIGKILL on. Where npm or a test started this process, its end is noticed by the parent changing. */
function endWithParent() {
  const { npm_lifecycle_event: underNpm, PINCER_END_WITH_PARENT: underTest } = process.env;
  if (underNpm === undefined && underTest === undefined) return;
  const end = () => process.kill(process.pid, "SIGTERM");
  // What npm starts shares its session; whoever takes in an orphan has another.
  const sessions = [sessionOf(PARENT_PID), sessionOf(process.pid)];
  if (underNpm !== undefined && !sessions.includes(undefined) && sessions[0] !== sessions[1]) end();
  setInterval(() => {
    if (process.ppid !== PARENT_PID) end();
  }, PARENT_CHECK_MS).unref();
}

/** Nothing where the system does not say. */
function sessionOf(pid) {
  try {
    const [, afterName] = /.*\) (.*)/s.exec(readFileSync(`/proc/${pid}/stat`, "utf8"));
    return afterName.split(" ")[3];
  } catch {
    return undefined;
  }
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const [script, ...args] = process.argv.slice(2);
  if (script === undefined) {
    console.error("Usage: node container/local/bootstrap.mjs SCRIPT [ARGUMENT...]");
    process.exitCode = 2;
  } else {
    await run(script, args);
  }
}
