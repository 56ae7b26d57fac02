import { spawn } from "node:child_process";
import { closeSync, statSync, writeFileSync } from "node:fs";
import { Socket } from "node:net";
import { drain, openPipe } from "./fifos.mjs";
import { FROM_AGENT } from "./frames.mjs";
import { childOf, giveMark, killTree, markFor, send } from "./tree.mjs";

/**
 * @typedef {{ send(kind: number, call: number, content: Uint8Array | object): void, pass(kind: number, call: number, content: Uint8Array): void, isCongested(): boolean, whenClear(resume: () => void): void }} Outbox
 * @typedef {{ command: string, cwd: string, env: Record<string, string>, input: "none" | "pipe" | "terminal", hasControl: boolean }} Spawn
 * @typedef {{ pid: number | undefined, hasExited: boolean, isTerminal: boolean, stdin?: Socket, control?: import("node:stream").Duplex, isWanted: boolean }} Running
 */

const CHUNK_BYTES = 64 * 1024;
const MAX_ARGUMENT_BYTES = 120_000;
/** What a process has not read yet; more is refused. */
const MAX_UNREAD_BYTES = 4 * 1024 * 1024;

/** @type {Map<number, Running>} */
const running = new Map();

/** @param {number} call @param {Spawn} request @param {Outbox} outbox */
async function start(call, request, outbox) {
  if (!statSync(request.cwd, { throwIfNoEntry: false })?.isDirectory()) {
    throw Object.assign(new Error("no such folder"), { code: "ENOCWD" });
  }
  const pipes = {
    stdout: openPipe(),
    stderr: openPipe(),
    ...(request.input !== "none" && { stdin: openPipe({ isWriterOurs: true }) }),
  };
  const isTerminal = request.input === "terminal";
  const text = asArgument(call, request.command);
  const child = spawn("/bin/bash", isTerminal ? ["/opt/pincer/terminal.sh"] : ["-c", text], {
    cwd: request.cwd,
    env: {
      ...process.env,
      ...(isTerminal && { TERM: "xterm-256color" }),
      ...request.env,
      ...(isTerminal && { PINCER_COMMAND: text }),
      BASH_ENV: "/opt/pincer/enter.sh",
      PINCER_MARK: String(giveMark(call)),
      PINCER_STDIN: request.input === "pipe" ? "1" : "",
    },
    stdio: [
      pipes.stdin?.reader ?? "ignore",
      pipes.stdout.writer,
      pipes.stderr.writer,
      ...(request.hasControl ? ["pipe"] : []),
    ],
    // Its own session: a signal from inside a command does not meet the agent's group.
    detached: true,
  });
  for (const fd of [pipes.stdout.writer, pipes.stderr.writer, pipes.stdin?.reader]) if (fd !== undefined) closeSync(fd);

  /** @type {Running} */
  const entry = { pid: child.pid, hasExited: false, isTerminal, isWanted: true };
  running.set(call, entry);
  const outputs = [
    follow(pipes.stdout.reader, (bytes) => entry.isWanted && outbox.send(FROM_AGENT.stdout, call, bytes), outbox),
    follow(pipes.stderr.reader, (bytes) => entry.isWanted && outbox.send(FROM_AGENT.stderr, call, bytes), outbox),
  ];
  if (pipes.stdin !== undefined) {
    entry.stdin = new Socket({ fd: pipes.stdin.writer, readable: false, writable: true });
    // The command may end without reading its input.
    entry.stdin.on("error", () => {});
    // A pipe has no half-closed state: only closing it tells the command that its input is over.
    entry.stdin.on("finish", () => entry.stdin?.destroy());
  }
  const control = child.stdio[3];
  if (request.hasControl && control instanceof Socket) {
    entry.control = control;
    control.on("error", () => {});
    control.on("data", (bytes) => outbox.send(FROM_AGENT.control, call, bytes));
  }
  if (child.pid !== undefined) outbox.send(FROM_AGENT.started, call, {});
  child.on("error", (error) => {
    running.delete(call);
    for (const output of outputs) output.end();
    outbox.send(FROM_AGENT.failed, call, {
      code: "code" in error ? String(error.code) : "EUNKNOWN",
      message: error.message,
    });
  });
  child.on("exit", (code, signal) => {
    entry.hasExited = true;
    outbox.whenClear(() => {
      for (const output of outputs) output.drain();
      entry.stdin?.destroy();
      outbox.send(FROM_AGENT.exit, call, { code, signal });
    });
  });
}

/**
 * Linux takes no argument over 128 KiB: a longer command comes from a file, which is gone when bash has read it.
 * @param {number} call
 * @param {string} text
 */
function asArgument(call, text) {
  if (Buffer.byteLength(text) <= MAX_ARGUMENT_BYTES) return text;
  const path = `/run/pincer/command-${call}`;
  writeFileSync(path, text);
  return `eval "$(cat ${path}; rm ${path})"`;
}

/**
 * Passes a pipe's bytes on as long as somebody holds its other end.
 * @param {number} reader
 * @param {(bytes: Uint8Array) => void} onBytes
 * @param {Outbox} outbox
 */
function follow(reader, onBytes, outbox) {
  const socket = new Socket({
    fd: reader,
    readable: true,
    writable: false,
    onread: {
      buffer: Buffer.allocUnsafe(CHUNK_BYTES),
      callback(size, buffer) {
        onBytes(buffer.subarray(0, size));
        if (!outbox.isCongested()) return true;
        outbox.whenClear(() => socket.resume());
        return false;
      },
    },
  });
  socket.on("error", () => {});
  socket.resume();
  return {
    /** Whatever the process wrote before it ended goes out before its end is told. */
    drain: () => !socket.destroyed && drain(reader, onBytes),
    end: () => socket.destroy(),
  };
}

/** @param {number} call @param {Buffer} bytes */
async function feed(call, bytes) {
  const stdin = running.get(call)?.stdin;
  if (bytes.length === 0) stdin?.end();
  else stdin?.write(Buffer.from(bytes));
}

/** @param {{ call: number, text: string, isEnd: boolean }} request */
function input({ call, text, isEnd }) {
  const stdin = running.get(call)?.stdin;
  if (stdin?.writable !== true) throw Object.assign(new Error("nobody reads it"), { code: "ECLOSED" });
  if (stdin.writableLength > MAX_UNREAD_BYTES) throw Object.assign(new Error("too much unread"), { code: "EUNREAD" });
  stdin.write(text);
  if (isEnd) stdin.end();
  return {};
}

/** @param {number} call @param {Buffer} bytes */
async function control(call, bytes) {
  running.get(call)?.control?.write(Buffer.from(bytes));
}

/** @param {{ call: number, signal: NodeJS.Signals, isTree: boolean }} request */
async function kill(request) {
  const entry = running.get(request.call);
  const pid = entry?.pid;
  // A number is given anew once its process is over.
  if (request.isTree) {
    return { isDone: await killTree(markFor(request.call), entry?.hasExited === false ? pid : undefined) };
  }
  if (entry === undefined || pid === undefined || entry.hasExited) return { isDone: false };
  // In a terminal, the command is what the terminal's holder has started.
  send(-((entry.isTerminal ? childOf(pid) : undefined) ?? pid), request.signal);
  return { isDone: true };
}

/** @param {number} call */
async function forget(call) {
  const entry = running.get(call);
  if (entry !== undefined) entry.isWanted = false;
  running.delete(call);
}

export const command = { start, feed, input, control, kill, forget };
