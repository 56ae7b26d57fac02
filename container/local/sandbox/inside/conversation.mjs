import { Socket } from "node:net";
import { frame, frameReader, FROM_AGENT, writeFrame } from "./frames.mjs";

/** An agent's side of the wire, on its standard input and output. */

/** More than this waiting for the runtime or the disk, and whoever sends is left alone until that has caught up. */
const CONGESTED_BYTES = 2 * 1024 * 1024;

const toRuntime = new Socket({ fd: 1, readable: false, writable: true });
const fromRuntime = new Socket({ fd: 0, readable: true, writable: false });
// Streams look at it as they are piped. It would open the descriptor once more then, which fails in the middle of a write.
Object.defineProperty(process, "stdout", { value: toRuntime });

let unwritten = 0;

/** @type {Set<() => void>} */
const waiting = new Set();
toRuntime.on("drain", () => {
  const resume = [...waiting];
  waiting.clear();
  for (const call of resume) call();
});

export const outbox = {
  /**
   * @param {number} kind
   * @param {number} call
   * @param {Uint8Array | object} content
   */
  send(kind, call, content) {
    toRuntime.write(frame(kind, call, content instanceof Uint8Array ? content : JSON.stringify(content)));
  },
  /**
   * The same of bytes that nobody writes over any more.
   * @param {number} kind
   * @param {number} call
   * @param {Uint8Array} content
   */
  pass(kind, call, content) {
    writeFrame(toRuntime, kind, call, content);
  },
  isCongested: () => toRuntime.writableLength > CONGESTED_BYTES,
  /** @param {() => void} resume */
  whenClear(resume) {
    if (outbox.isCongested()) waiting.add(resume);
    else resume();
  },
};

/**
 * As long as the disk has not caught up, nothing more is taken from the runtime.
 * @param {Uint8Array} content
 * @param {() => Promise<void>} write
 */
export async function whileWriting(content, write) {
  unwritten += content.length;
  if (unwritten > CONGESTED_BYTES) fromRuntime.pause();
  try {
    await write();
  } finally {
    unwritten -= content.length;
    if (unwritten <= CONGESTED_BYTES) fromRuntime.resume();
  }
}

/** @param {number} call @param {unknown} error */
function fail(call, error) {
  const code = error instanceof Error && "code" in error ? String(error.code) : "EUNKNOWN";
  outbox.send(FROM_AGENT.failed, call, { code, message: error instanceof Error ? error.message : String(error) });
}

/**
 * Says that the agent is up, and answers what the runtime asks until the runtime is gone.
 * @param {(kind: number, call: number, content: Buffer) => Promise<unknown>} answer
 */
export function converse(answer) {
  const read = frameReader((kind, call, content) => {
    answer(kind, call, content).catch((error) => fail(call, error));
  });
  fromRuntime.on("data", read);
  fromRuntime.on("close", () => process.exit(0));
  toRuntime.on("error", () => process.exit(0));
  outbox.send(FROM_AGENT.ready, 0, {});
}
