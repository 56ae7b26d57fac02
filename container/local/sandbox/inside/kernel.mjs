import { writeSync } from "node:fs";
import inspector from "node:inspector";
import { createRequire, stripTypeScriptTypes } from "node:module";
import { Socket } from "node:net";
import { inspect, stripVTControlCharacters } from "node:util";
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { withImports } from "./imports.mjs";

/**
 * A JavaScript code context, and a TypeScript one. The code runs on the main thread as in V8's own REPL (`const` may be declared again,
 * `await` works anywhere); a worker speaks with the runtime on file descriptor 3, so that code which never yields
 * can be stopped without losing its variables. At the end of a run a mark is written to both outputs.
 */

const MAX_TEXT_CHARS = 1_000_000;
const MAX_TRACEBACK_CHARS = 4_000;
/** After this without an answer, stopped code is waiting for something; the run ends without it. */
const STOP_MS = 200;
/** Code that cannot be stopped in this time sits in a system call; then the runtime ends the context. */
const ALIVE_MS = 500;
const STOP_TRIES = 3;
const INTERRUPTED = { name: "Interrupted", message: "The code was stopped.", traceback: "" };

if (isMainThread) runCode();
else serve();

function runCode() {
  const require = createRequire("/workspace/");
  Object.assign(globalThis, { require });
  Object.defineProperty(globalThis, "$import", {
    value: (/** @type {string} */ name, /** @type {ImportCallOptions} */ options) =>
      import(/^\.{0,2}\//.test(name) ? require.resolve(name) : resolve(name), options),
  });
  /** A package of the workspace; what cannot be found there is left to Node to say. */
  function resolve(/** @type {string} */ name) {
    try {
      return require.resolve(name);
    } catch {
      return name;
    }
  }
  process.on("uncaughtException", (error) => console.error(error));
  process.on("unhandledRejection", (error) => console.error(error));

  const session = new inspector.Session();
  session.connect();
  /** @param {string} method @param {object} params @returns {Promise<any>} */
  const post = (method, params) =>
    new Promise((done) => session.post(method, params, (error, answer) => done(error === null ? answer : { error })));
  const held = Symbol.for("pincer.value");
  /** The value itself, in a box: an `await` would look for its `then`. */
  const boxOf = async (/** @type {any} */ remote) => {
    if (remote.objectId === undefined) return { value: primitiveOf(remote) };
    await post("Runtime.callFunctionOn", {
      objectId: remote.objectId,
      functionDeclaration: "function () { globalThis[Symbol.for('pincer.value')] = this; }",
    });
    const value = Reflect.get(globalThis, held);
    Reflect.deleteProperty(globalThis, held);
    return { value: remote.type === "symbol" ? value.valueOf() : value };
  };

  const worker = new Worker(new URL(import.meta.url));
  worker.on("exit", () => process.exit(0));
  worker.on("message", async ({ run, code, language }) => {
    if (code === undefined) return worker.postMessage({ run, isAlive: true });
    let outcome;
    try {
      const expression = withImports(language === "typescript" ? withoutTypes(code) : code);
      const answer = await post("Runtime.evaluate", { expression, replMode: true, awaitPromise: true });
      outcome = await describe(answer, boxOf);
    } catch (error) {
      outcome = { error: describeError(error) };
    }
    await post("Runtime.releaseObjectGroup", { objectGroup: "" });
    worker.postMessage({ run, outcome });
  });
}

/** TypeScript as JavaScript. Node warns that this is new, which is nothing that the code has said. @param {string} code */
function withoutTypes(code) {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return stripTypeScriptTypes(code, { mode: "transform" });
  } finally {
    process.emitWarning = emitWarning;
  }
}

/** A value that came by itself; JSON has no words for some. @param {any} remote */
function primitiveOf({ type, value, unserializableValue }) {
  if (unserializableValue === undefined) return value;
  return type === "bigint" ? BigInt(unserializableValue.slice(0, -1)) : Number(unserializableValue);
}

/** @param {any} answer @param {(remote: any) => Promise<{ value: unknown }>} boxOf */
async function describe({ result, exceptionDetails, error }, boxOf) {
  if (exceptionDetails !== undefined) return { error: describeError((await boxOf(exceptionDetails.exception)).value) };
  if (result === undefined) return { error: { ...INTERRUPTED, message: error?.message ?? INTERRUPTED.message } };
  if (result.type === "undefined") return {};
  const { value } = await boxOf(result);
  return {
    text: inspect(value, { depth: 4, breakLength: 100, maxArrayLength: 200, maxStringLength: 100_000 }).slice(
      0,
      MAX_TEXT_CHARS,
    ),
  };
}

/** @param {unknown} error */
function describeError(error) {
  if (!(error instanceof Error))
    return { name: "Thrown", message: inspect(error).slice(0, MAX_TRACEBACK_CHARS), traceback: "" };
  const lines = stripVTControlCharacters(String(error.stack)).split("\n");
  // What lies below the code's own frames is this file and Node.
  const own = lines.filter((line) => !/^\s+at (.*(node:|\/opt\/pincer\/)|new Promise \(<anonymous>\))/.test(line));
  return {
    name: error.name,
    message: error.message.slice(0, MAX_TRACEBACK_CHARS),
    traceback: own.join("\n").slice(-MAX_TRACEBACK_CHARS),
  };
}

function serve() {
  const port = parentPort;
  const runtime = new Socket({ fd: 3, readable: true, writable: true });
  /** @type {{ mark: string, isStopped: boolean } | undefined} */
  let current;
  let onAlive = () => {};

  const send = (/** @type {object} */ message) => runtime.write(`${JSON.stringify(message)}\n`);
  const finish = (/** @type {any} */ outcome) => {
    if (current === undefined) return;
    const { mark } = current;
    current = undefined;
    if (outcome.text !== undefined) send({ result: { text: outcome.text } });
    for (const fd of [1, 2]) writeWhole(fd, `\0${mark}`);
    send({ done: mark, error: outcome.error ?? null, resultCount: outcome.text === undefined ? 0 : 1 });
  };
  const stop = async () => {
    const stopped = current;
    if (stopped === undefined) return;
    stopped.isStopped = true;
    for (let tries = 0; tries < STOP_TRIES && current === stopped; tries++) {
      await terminate();
      if (current !== stopped || !(await isMainAlive(stopped.mark)) || current !== stopped) continue;
      // The main thread is free, so that the code only waits: the run ends without it.
      finish({ error: INTERRUPTED });
    }
  };
  const terminate = async () => {
    // Connected all the time, it would hold up the code's own process.exit().
    const main = new inspector.Session();
    main.connectToMainThread();
    main.post("Runtime.terminateExecution");
    await new Promise((resolve) => setTimeout(resolve, STOP_MS));
    main.disconnect();
  };
  const isMainAlive = async (/** @type {string} */ run) => {
    const isAlive = new Promise((resolve) => {
      onAlive = () => resolve(true);
      setTimeout(() => resolve(false), ALIVE_MS);
    });
    port.postMessage({ run });
    return await isAlive;
  };

  port.on("message", ({ run, outcome, isAlive }) => {
    if (isAlive === true) onAlive();
    if (outcome === undefined || run !== current?.mark) return;
    finish(current?.isStopped ? { error: INTERRUPTED } : outcome);
  });
  let pending = "";
  runtime.setEncoding("utf8");
  runtime.on("data", (/** @type {string} */ text) => {
    const lines = (pending + text).split("\n");
    pending = lines.pop() ?? "";
    for (const line of lines) {
      const request = JSON.parse(line);
      if (request.stop === true) void stop();
      else {
        current = { mark: request.mark, isStopped: false };
        port.postMessage({ run: request.mark, code: request.code, language: request.language });
      }
    }
  });
  runtime.on("close", () => process.exit(0));
  send({ ready: true });
}

/** The pipe may be full, and does not block. @param {number} fd @param {string} text */
function writeWhole(fd, text) {
  for (let rest = Buffer.from(text); rest.length > 0;) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      if (error.code !== "EAGAIN") return;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}
