import { type ChildProcess, execFile, spawn } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";

const PRESETS = path.resolve(import.meta.dirname, "../../container/presets");

export interface Said {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The program `preset` beside presets of the test's own, with a HOME of its own. */
export interface Place extends AsyncDisposable {
  readonly home: string;
  run(...args: readonly string[]): Promise<Said>;
  /** As `run`, with something to be done once it has said so much. */
  follow(args: readonly string[], said: RegExp, act: (child: ChildProcess) => void): Promise<Said>;
  /** How many processes hold this in their command line. */
  alive(mark: string): Promise<number>;
  /** Ends them at once, as sleep does: nothing of them is left. */
  killAll(mark: string): Promise<void>;
  /** Says something else of one of the test's presets. */
  describe(name: string, preset: object): Promise<void>;
}

export async function place(presets: Readonly<Record<string, object>>, env: NodeJS.ProcessEnv = {}): Promise<Place> {
  const root = await mkdtemp(path.join(tmpdir(), "pincer-preset-"));
  const [home, temp, folder] = ["home", "tmp", "presets"].map((name) => path.join(root, name));
  if (home === undefined || temp === undefined || folder === undefined) throw new Error("No folders.");
  await Promise.all([home, temp].map(async (path) => await mkdir(path)));
  await cp(PRESETS, folder, { recursive: true });
  const describe: Place["describe"] = async (name, preset) => {
    await mkdir(path.join(folder, name), { recursive: true });
    const whole = {
      title: name,
      description: "a test's",
      node: "22.0.0",
      install: {},
      programs: {},
      kept: [],
      hint: "",
    };
    await writeFile(path.join(folder, name, "preset.json"), JSON.stringify({ ...whole, ...preset }));
  };
  for (const [name, preset] of Object.entries(presets)) await describe(name, preset);
  const program = path.join(folder, "program/preset.mjs");
  const PATH = `${path.dirname(process.execPath)}:${process.env["PATH"] ?? ""}`;
  const inside = { PATH, HOME: home, TMPDIR: temp, ...env };
  const run: Place["run"] = async (...args) =>
    await new Promise((resolve) => {
      execFile(program, [...args], { env: inside, cwd: home, timeout: 50_000 }, (failure, stdout, stderr) => {
        resolve({ code: failure === null ? 0 : Number(failure.code ?? -1), stdout, stderr });
      });
    });
  return {
    ...{ home, run },
    follow: async (args, said, act) => {
      const child = spawn(program, [...args], { env: inside, cwd: home, stdio: ["ignore", "pipe", "pipe"] });
      const ended = new Promise<number>((resolve) => child.once("close", (code) => resolve(code ?? -1)));
      let [stdout, stderr] = ["", ""];
      let isDone = false;
      child.stderr.on("data", (bytes: Buffer) => (stderr += bytes.toString()));
      child.stdout.on("data", (bytes: Buffer) => {
        stdout += bytes.toString();
        if (isDone || !said.test(stdout)) return;
        isDone = true;
        act(child);
      });
      return { code: await ended, stdout, stderr };
    },
    describe,
    alive: async (mark) => (await pidsOf(mark)).length,
    killAll: async (mark) => {
      for (const pid of await pidsOf(mark)) process.kill(pid, "SIGKILL");
      while ((await pidsOf(mark)).length > 0) await pause(20);
    },
    [Symbol.asyncDispose]: async () => {
      for (const name of Object.keys(presets)) await run("stop", name);
      await rm(root, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

async function pidsOf(mark: string): Promise<number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const isMarked = async (pid: number): Promise<boolean> =>
    (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).includes(mark);
  const marked = await Promise.all(pids.map(async (pid) => ((await isMarked(pid)) ? [pid] : [])));
  return marked.flat();
}

/**
 * A server with a child of another session, in the way of agents that start helpers; `first` is what it does before. What
 * it has are its home's files.
 */
export function server(port: number, mark: string, first = ""): object {
  const code = `
    ${first}
    const child = require("node:child_process").spawn("sleep", ["${mark}"], { detached: true, stdio: "ignore" });
    child.unref();
    console.log("up");
    require("node:http").createServer((request, response) => {
      const isThere = require("node:fs").existsSync(request.url.slice(1));
      response.statusCode = request.url === "/ready" || isThere ? 200 : 404;
      response.end("here");
    }).listen(${port}, "127.0.0.1");`;
  return { start: ["node", "-e", code], port, ready: "/ready" };
}

let lastMark = 40_000_000 + process.pid;

/** What a test's processes are known by. */
export function newMark(): string {
  return String((lastMark += 1));
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("No port.");
  return address.port;
}
