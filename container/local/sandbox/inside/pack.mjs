import { spawn } from "node:child_process";
import { FROM_AGENT } from "./frames.mjs";
import { send } from "./tree.mjs";

/** Passes the workspace out as a snapshot, and in: what snapshot.sh says and takes, as bytes of the call. */

/** @typedef {import("./process.mjs").Outbox} Outbox */
/** @typedef {{ takes(bytes: Buffer): Promise<void>, stop(): void }} Packer */

const SCRIPT = "/opt/pincer/snapshot.sh";
/** So many pieces may be on their way before the runtime has taken the first. */
const FIRST_CREDIT = 32;
const MAX_SAID_CHARS = 10_000;
const CODES = new Map([
  [3, "EDAMAGED"],
  [4, "ENOTAR"],
]);

/** @type {Map<number, Packer>} */
const packers = new Map();

/** @param {{ op: string }} request */
export function isAboutSnapshots({ op }) {
  return op === "look" || op === "save" || op === "restore";
}

/** @param {number} call @param {{ op: string }} request @param {Outbox} outbox */
export async function answerSnapshot(call, { op }, outbox) {
  const isSave = op === "save";
  const child = spawn("/usr/bin/nice", ["-n", isSave ? "10" : "0", "/bin/bash", SCRIPT, op], {
    stdio: [op === "restore" ? "pipe" : "ignore", "pipe", "ignore"],
    // A group of its own, so that it ends as a whole.
    detached: true,
  });
  const ended = new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", resolve);
  });
  ended.catch(() => {});
  const stop = () => {
    packers.delete(call);
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) send(-child.pid, "SIGKILL");
  };
  let said = "";
  try {
    if (isSave) await sendAll(call, child.stdout, stop, outbox);
    else {
      packers.set(call, { takes: taker(child.stdin), stop });
      for await (const chunk of child.stdout) if (said.length < MAX_SAID_CHARS) said += chunk;
    }
    const code = await ended;
    if (code !== 0) throw Object.assign(new Error("snapshot.sh failed"), { code: CODES.get(code) ?? "EPACK" });
    outbox.send(FROM_AGENT.done, call, isSave ? {} : JSON.parse(said));
  } finally {
    stop();
  }
}

/** Whether the bytes were for a snapshot. @param {number} call @param {Buffer} bytes */
export async function feedSnapshot(call, bytes) {
  const packer = packers.get(call);
  await packer?.takes(bytes);
  return packer !== undefined;
}

/** @param {number} call */
export function forgetSnapshot(call) {
  packers.get(call)?.stop();
}

/** @param {number} call @param {import("node:stream").Readable} output @param {() => void} stop @param {Outbox} outbox */
async function sendAll(call, output, stop, outbox) {
  let credit = FIRST_CREDIT;
  let wake = () => {};
  packers.set(call, {
    async takes() {
      credit += 1;
      wake();
    },
    stop: () => {
      credit = Infinity;
      stop();
      wake();
    },
  });
  for await (const chunk of output) {
    if (!packers.has(call)) return;
    outbox.pass(FROM_AGENT.bytes, call, chunk);
    for (credit -= 1; credit <= 0;) await new Promise((resolve) => (wake = () => resolve(undefined)));
  }
}

/** Bytes for a standard input, none for its end. @param {import("node:stream").Writable | null} input */
function taker(input) {
  // It may end before it has read all; how it ended tells why.
  input?.on("error", () => {});
  return async (/** @type {Buffer} */ bytes) => {
    if (input === null || !input.writable) return;
    if (bytes.length === 0) input.end();
    else await new Promise((resolve) => input.write(bytes, () => resolve(undefined)));
  };
}
