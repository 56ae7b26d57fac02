import { parentPort, workerData } from "node:worker_threads";
import { Bash, defineCommand, getCommandNames, MountableFs, stdoutKind } from "just-bash";
import { BaseDisk, RoomyDisk } from "./disks.mjs";
import { closeFence } from "./fence.mjs";
import { changeHandlesByPath } from "./handles.mjs";
import { ripgrep } from "./ripgrep.mjs";
import { openRoom } from "./room.mjs";

/** A thread that runs one command on just-bash, and has lost what just-bash does not need before it sees the command. */

/** @type {import("./agent.mjs").Setting} */
const { folders, limits, used } = workerData;
const MIB = 1024 * 1024;

const ENVIRONMENT = {
  PATH: "/usr/bin:/bin",
  HOME: "/workspace",
  USER: "user",
  SHELL: "/bin/bash",
  LANG: "C.UTF-8",
  TERM: "dumb",
  TZ: "UTC",
};

/** They would start threads or load native code. */
const LEFT_OUT = ["sqlite3", "python3", "python", "js-exec"];
const NATIVE = [
  "python",
  "python3",
  "node",
  "npm",
  "npx",
  "git",
  "pip",
  "pip3",
  "sqlite3",
  "curl",
  "wget",
  "gcc",
  "make",
];

/** Time is limited from outside, by ending the thread. Some of these counters do not take Infinity. */
const ENDLESS = 2 ** 40;
const EFFORT = {
  ...{ maxCommandCount: ENDLESS, maxLoopIterations: ENDLESS, maxWorkUnits: ENDLESS, maxGlobOperations: ENDLESS },
  ...{ maxAwkIterations: ENDLESS, maxSedIterations: ENDLESS, maxJqIterations: ENDLESS, maxExecutionTimeMs: Infinity },
};

function openDisk() {
  const room = openRoom({ folders, limits, used });
  const disk = (/** @type {string} */ root) => new RoomyDisk({ root, maxFileReadSize: 100 * MIB }, room);
  // One mount cannot lie in another one of the same disk.
  const workspace = new MountableFs({ base: disk(folders.workspace) });
  workspace.mount("/files", disk(folders.files));
  const base = new BaseDisk();
  // It puts the names of its commands, and /dev and /proc of its own, on a disk that is no other's.
  void new Bash({ fs: base, commands, customCommands: natives, cwd: "/" });
  return new MountableFs({
    base,
    mounts: [
      { mountPoint: "/workspace", filesystem: workspace },
      { mountPoint: "/tmp", filesystem: disk(folders.tmp) },
    ],
  });
}

const commands = getCommandNames().filter((name) => !LEFT_OUT.includes(name));
const natives = NATIVE.map((name) =>
  defineCommand(name, async () => ({
    stdout: "",
    stderr: `${name}: command not found: this shell is simulated and has no native programs\n`,
    exitCode: 127,
  })),
);
const fs = openDisk();

changeHandlesByPath();
closeFence();

/** @param {{ command: string, cwd: string, env: Record<string, string>, stdin: string }} request */
async function run({ command, cwd, env, stdin }) {
  const bash = new Bash({
    fs,
    commands,
    customCommands: [...natives, ripgrep(fs)],
    cwd,
    env: { ...ENVIRONMENT, ...env },
    defenseInDepth: true,
    executionLimits: { ...EFFORT, maxOutputSize: limits.outputBytes },
  });
  const result = await bash.exec(command, { rawScript: true, stdin, stdinKind: "bytes" });
  const stdout = Buffer.from(result.stdout, stdoutKind(result) === "bytes" ? "latin1" : "utf8");
  return { stdout, stderr: Buffer.from(result.stderr), exitCode: result.exitCode };
}

parentPort?.once("message", (request) => {
  // What it rejects with ends the thread, and is told as its error.
  void run(request).then((result) => parentPort?.postMessage(result));
});
