import { Socket } from "node:net";
import { openEgress } from "./egress.mjs";
import { fillFifos } from "./fifos.mjs";
import { answerFile, feedFile, forgetFile } from "./files.mjs";
import { frame, frameReader, FROM_AGENT, TO_AGENT } from "./frames.mjs";
import { isListening } from "./ports.mjs";
import { command } from "./process.mjs";

/**
 * Runs inside a sandbox and does there what the runtime asks: starts processes, passes their bytes on, and touches
 * files, so that no path is ever resolved outside. It has no more rights than what it starts, which may kill it or
 * speak in its name; then the runtime ends the sandbox.
 */

/** More than this waiting for the runtime or the disk, and whoever sends is left alone until that has caught up. */
const CONGESTED_BYTES = 2 * 1024 * 1024;

const toRuntime = new Socket({ fd: 1, readable: false, writable: true });
const fromRuntime = new Socket({ fd: 0, readable: true, writable: false });

let unwritten = 0;

/** @type {Set<() => void>} */
const waiting = new Set();
toRuntime.on("drain", () => {
  const resume = [...waiting];
  waiting.clear();
  for (const call of resume) call();
});

const outbox = {
  /**
   * @param {number} kind
   * @param {number} call
   * @param {Uint8Array | object} content
   */
  send(kind, call, content) {
    toRuntime.write(frame(kind, call, content instanceof Uint8Array ? content : JSON.stringify(content)));
  },
  isCongested: () => toRuntime.writableLength > CONGESTED_BYTES,
  /** @param {() => void} resume */
  whenClear(resume) {
    if (outbox.isCongested()) waiting.add(resume);
    else resume();
  },
};

/** @param {number} call @param {unknown} error */
function fail(call, error) {
  const code = error instanceof Error && "code" in error ? String(error.code) : "EUNKNOWN";
  outbox.send(FROM_AGENT.failed, call, { code, message: error instanceof Error ? error.message : String(error) });
}

/** @param {number} kind @param {number} call @param {Buffer} content */
async function answer(kind, call, content) {
  switch (kind) {
    case TO_AGENT.spawn:
      return command.start(call, JSON.parse(content.toString()), outbox);
    case TO_AGENT.stdin:
      return command.feed(call, content);
    case TO_AGENT.control:
      return command.control(call, content);
    case TO_AGENT.kill:
      return outbox.send(FROM_AGENT.done, call, await command.kill(JSON.parse(content.toString())));
    case TO_AGENT.forget:
      forgetFile(call);
      return command.forget(call);
    case TO_AGENT.file:
      return answerFile(call, JSON.parse(content.toString()), outbox);
    case TO_AGENT.bytes:
      return writeBytes(call, content);
    case TO_AGENT.input:
      return outbox.send(FROM_AGENT.done, call, command.input(JSON.parse(content.toString())));
    case TO_AGENT.port:
      return outbox.send(FROM_AGENT.done, call, { isListening: isListening(JSON.parse(content.toString()).port) });
  }
}

/** As long as the disk has not caught up, nothing more is taken from the runtime. */
async function writeBytes(/** @type {number} */ call, /** @type {Buffer} */ content) {
  unwritten += content.length;
  if (unwritten > CONGESTED_BYTES) fromRuntime.pause();
  try {
    await feedFile(call, content);
  } finally {
    unwritten -= content.length;
    if (unwritten <= CONGESTED_BYTES) fromRuntime.resume();
  }
}

const read = frameReader((kind, call, content) => {
  answer(kind, call, content).catch((error) => fail(call, error));
});
fromRuntime.on("data", read);
fromRuntime.on("close", () => process.exit(0));
toRuntime.on("error", () => process.exit(0));

fillFifos();
openEgress();
outbox.send(FROM_AGENT.ready, 0, {});
