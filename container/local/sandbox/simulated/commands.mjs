import { Worker } from "node:worker_threads";
import { FROM_AGENT } from "../inside/frames.mjs";

/**
 * @typedef {{ stdout: Uint8Array, stderr: Uint8Array, exitCode: number }} Result
 * @typedef {{ code: number | null, signal: string | null, stdout?: Uint8Array, stderr?: string | Uint8Array }} Ending
 * @typedef {{ command: string, cwd: string, env: Record<string, string>, stdin: Buffer[], isReady: boolean, isOver: boolean, isWanted: boolean, worker?: Worker }} Entry
 */

const MIB = 1024 * 1024;
const CHUNK_BYTES = 256 * 1024;
/** More commands wait for the end of one of these. */
const MAX_WORKERS = 32;
const MAX_HEAP_MIB = 512;
const WATCH_MS = 100;
/** For the ends of the commands to be told. */
const LAST_WORDS_MS = 2_000;

/**
 * The commands, each in a thread of its own: whatever it does, ending the thread ends it. Its output comes when it is
 * over. One more thread is kept ready, since loading the shell takes longer than most commands.
 * @param {import("./agent.mjs").Setting} setting
 * @param {ReturnType<import("./folders.mjs").openFolders>} folders
 * @param {import("../inside/process.mjs").Outbox} outbox
 */
export function openCommands(setting, folders, outbox) {
  // One command does not take what all of them may have.
  const heapMib = Math.min(MAX_HEAP_MIB, Math.floor(setting.limits.memoryBytes / MIB / 4));
  /** Those that the runtime may still ask about. @type {Map<number, Entry>} */
  const entries = new Map();
  /** @type {Worker | undefined} */
  let spare = makeWorker();
  let isFull = false;

  function makeWorker() {
    const worker = new Worker(new URL("./shell.mjs", import.meta.url), {
      workerData: setting,
      env: {},
      // What a thread prints by itself would reach the runtime as frames.
      stdout: true,
      stderr: true,
      resourceLimits: { maxOldGenerationSizeMb: heapMib, maxYoungGenerationSizeMb: 32 },
    });
    worker.stderr.on("data", (text) => console.error(String(text).slice(0, 2_000)));
    worker.on("error", (error) => console.error(error.message));
    worker.on("exit", () => {
      if (spare === worker) spare = undefined;
    });
    return worker;
  }

  /** @param {number} call @param {{ command: string, cwd: string, env: Record<string, string>, input: string }} request */
  function start(call, { command, cwd, env, input }) {
    // Told so, the runtime starts a fresh agent at once.
    if (isFull) throw Object.assign(new Error("no memory"), { code: "ENOMEM" });
    if (!folders.isFolder(cwd)) throw Object.assign(new Error("no such folder"), { code: "ENOCWD" });
    entries.set(call, { command, cwd, env, stdin: [], isReady: input === "none", isOver: false, isWanted: true });
    outbox.send(FROM_AGENT.started, call, {});
    runNext();
  }

  /** Nothing ends it; then the command begins. @param {number} call @param {Buffer} bytes */
  function feed(call, bytes) {
    const entry = entries.get(call);
    if (entry === undefined || entry.isReady) return;
    if (bytes.length > 0) return void entry.stdin.push(Buffer.from(bytes));
    entry.isReady = true;
    runNext();
  }

  function runNext() {
    const running = [...entries.values()].filter((entry) => entry.worker !== undefined && !entry.isOver).length;
    const next = [...entries].find(([, entry]) => entry.isReady && !entry.isOver && entry.worker === undefined);
    if (next !== undefined && running < MAX_WORKERS && !isFull) run(...next);
  }

  /** @param {number} call @param {Entry} entry */
  function run(call, entry) {
    const worker = spare ?? makeWorker();
    spare = makeWorker();
    entry.worker = worker;
    const end = (/** @type {Ending} */ ending) => void finish(call, entry, ending);
    worker.on("message", (/** @type {Result} */ { exitCode, ...output }) =>
      end({ code: exitCode, signal: null, ...output }),
    );
    worker.on("error", (error) => end({ ...KILLED, stderr: explain(error, heapMib) }));
    worker.on("exit", () => end(KILLED));
    const { command, cwd, env } = entry;
    worker.postMessage({ command, cwd, env, stdin: Buffer.concat(entry.stdin).toString("latin1") });
    entry.stdin = [];
  }

  /** @param {number} call @param {Entry} entry @param {Ending} ending */
  async function finish(call, entry, { code, signal, stdout = "", stderr = "" }) {
    if (entry.isOver) return;
    entry.isOver = true;
    void entry.worker?.terminate();
    runNext();
    await tell(FROM_AGENT.stdout, call, entry, Buffer.from(stdout));
    await tell(FROM_AGENT.stderr, call, entry, Buffer.from(stderr));
    outbox.send(FROM_AGENT.exit, call, { code, signal });
  }

  /** @param {number} kind @param {number} call @param {Entry} entry @param {Buffer} output */
  async function tell(kind, call, entry, output) {
    for (let at = 0; at < output.length && entry.isWanted; at += CHUNK_BYTES) {
      outbox.send(kind, call, output.subarray(at, at + CHUNK_BYTES));
      if (outbox.isCongested()) await new Promise((resolve) => outbox.whenClear(() => resolve(undefined)));
    }
  }

  /** There is no signal that a simulated command could catch. @param {{ call: number, signal: string, isTree: boolean }} request */
  async function kill({ call, signal, isTree }) {
    const entry = entries.get(call);
    if (entry === undefined || entry.isOver) return { isDone: isTree };
    void finish(call, entry, { code: null, signal });
    await entry.worker?.terminate();
    return { isDone: true };
  }

  /** @param {number} call */
  function forget(call) {
    const entry = entries.get(call);
    if (entry !== undefined) entry.isWanted = false;
    entries.delete(call);
  }

  /** What a thread holds beside its heap is seen from outside only; all of it goes back when this process ends. */
  function watchMemory() {
    if (isFull || process.memoryUsage.rss() <= setting.limits.memoryBytes) return;
    isFull = true;
    const used = `The sandbox used more than ${Math.round(setting.limits.memoryBytes / MIB)} MB of memory; its commands were ended.\n`;
    for (const [call, entry] of entries) if (!entry.isOver) void finish(call, entry, { ...KILLED, stderr: used });
    setTimeout(() => process.exit(0), LAST_WORDS_MS);
  }
  setInterval(watchMemory, WATCH_MS).unref();

  return { start, feed, kill, forget };
}

const KILLED = { code: null, signal: "SIGKILL" };

/** @param {unknown} error @param {number} heapMib */
function explain(error, heapMib) {
  const isMemory = error instanceof Error && "code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY";
  return isMemory
    ? `The command used more than ${heapMib} MB of memory and was ended; use less at a time.\n`
    : "The simulated shell failed on this command.\n";
}
