import { spawn } from "node:child_process";
import { connect } from "node:net";
import { FROM_AGENT } from "./frames.mjs";
import { send } from "./tree.mjs";

/**
 * Runs snapshot.sh. The snapshot itself goes from there to the runtime and back through a socket that only its
 * programs hold: no byte of it passes this one.
 */

/** @typedef {import("./process.mjs").Outbox} Outbox */

const SCRIPT = "/opt/pincer/snapshot.sh";
const SOCKET = "/run/snapshots.sock";
const MAX_SAID_CHARS = 10_000;
const CODES = new Map([
  [3, "EDAMAGED"],
  [4, "ENOTAR"],
]);

/** What ends each that runs. @type {Map<number, () => void>} */
const stops = new Map();

/** @param {{ op: string }} request */
export function isAboutSnapshots({ op }) {
  return op === "look" || op === "save" || op === "restore";
}

/** @param {number} call @param {{ op: string, token?: string }} request @param {Outbox} outbox */
export async function answerSnapshot(call, { op, token }, outbox) {
  const isSave = op === "save";
  const snapshot = token === undefined ? "ignore" : await meetRuntime(token);
  const child = spawn("/usr/bin/nice", ["-n", isSave ? "10" : "0", "/bin/bash", SCRIPT, op], {
    stdio: [isSave ? "ignore" : snapshot, isSave ? snapshot : "pipe", "ignore"],
    // A group of its own, so that it ends as a whole.
    detached: true,
  });
  // It has the socket: where the last of its programs has ended, so has the snapshot.
  if (snapshot !== "ignore") snapshot.destroy();
  const ended = new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", resolve);
  });
  ended.catch(() => {});
  const stop = () => {
    stops.delete(call);
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) send(-child.pid, "SIGKILL");
  };
  stops.set(call, stop);
  try {
    let said = "";
    for await (const chunk of child.stdout ?? []) if (said.length < MAX_SAID_CHARS) said += chunk;
    const code = await ended;
    if (code !== 0) throw Object.assign(new Error("snapshot.sh failed"), { code: CODES.get(code) ?? "EPACK" });
    outbox.send(FROM_AGENT.done, call, isSave ? {} : JSON.parse(said));
  } finally {
    stop();
  }
}

/** @param {number} call */
export function forgetSnapshot(call) {
  stops.get(call)?.();
}

/** @param {string} token @returns {Promise<import("node:net").Socket>} */
function meetRuntime(token) {
  return new Promise((resolve, reject) => {
    const socket = connect({ path: SOCKET });
    // What comes is for whoever is given it.
    socket.pause();
    socket.once("error", reject);
    socket.write(token, () => resolve(socket));
  });
}
