import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable, Writable } from "node:stream";
import * as z from "zod";
import { type Bytes, decode, encode } from "./bytes.ts";
import { jailEnvironment } from "./jail.ts";
import { frame, frameReader, FROM_AGENT, MAX_FRAME_BYTES, TO_AGENT, writeFrame } from "./inside/frames.mjs";
import { Problem } from "./problem.ts";

/** What the agent says about one call. Its content is hostile: it is parsed, and bounded by the frame's length. */
export interface CallHandlers {
  onFrame(kind: number, content: Bytes): void;
  /** The sandbox ended; nothing more comes. */
  onLost(reason: string): void;
}

/** Why the agent could not do what it was asked; `code` is an errno name or one of its own. */
export class AgentRefusal extends Error {
  readonly code: string;

  constructor(code: string) {
    super(`The agent refused: ${code}`);
    this.code = code;
  }
}

export const refusalSchema = z.object({ code: z.string().max(64) });

/** Why a sandbox whose agent says nothing any more is ended. */
export const SILENT = "The sandbox did not answer; everything in it was ended and it was started afresh.";

const TOO_LARGE =
  "That is more than 4 MiB as JSON, where a control character takes six bytes; write the large parts to files first.";
const READY_TIMEOUT_MS = 20_000;
const MAX_LOG_CHARS = 2_000;

/** One running sandbox: a bubblewrap process with the agent in it, and the frames that go in and out. */
export class AgentLink {
  readonly pid: number;
  /** Resolves when everything in the sandbox is gone. */
  readonly ended: Promise<void>;
  readonly #child: ChildProcess;
  readonly #input: Writable;
  readonly #calls = new Map<number, CallHandlers>();
  #nextCall = 1;
  #reason = "The sandbox ended.";
  #isOpen = true;
  #ready: () => void = () => undefined;

  private constructor(child: ChildProcess, input: Writable, output: Readable, log: (line: string) => void) {
    this.#child = child;
    this.#input = input;
    this.pid = child.pid ?? 0;
    const read = frameReader((kind, call, content) => {
      if (kind === FROM_AGENT.ready) this.#ready();
      else this.#calls.get(call)?.onFrame(kind, content);
    });
    output.on("data", (chunk: Bytes) => {
      try {
        read(chunk);
      } catch (error) {
        log(`agent: ${String(error)}`);
        this.kill("Something inside disturbed the sandbox; it was started afresh.");
      }
    });
    input.on("error", () => undefined);
    let logged = 0;
    child.stderr?.on("data", (chunk: Bytes) => {
      const text = JSON.stringify(decode(chunk).slice(0, MAX_LOG_CHARS));
      if ((logged += text.length) < 20 * MAX_LOG_CHARS) log(`agent: ${text}`);
    });
    this.ended = once(child, "exit").then(
      () => this.#lose(),
      () => this.#lose(),
    );
  }

  /** Starts the program that `jailCommand` made. Rejects when the agent does not come up. */
  static async start(command: readonly string[], log: (line: string) => void): Promise<AgentLink> {
    const [program = "", ...args] = command;
    const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"], env: jailEnvironment() });
    const link = new AgentLink(child, child.stdin, child.stdout, log);
    const ready = new Promise<boolean>((resolve) => {
      link.#ready = () => resolve(true);
      void link.ended.then(() => resolve(false));
      setTimeout(() => resolve(false), READY_TIMEOUT_MS).unref();
    });
    if (await ready) return link;
    link.kill("The sandbox did not start.");
    throw new Error("The sandbox's agent did not come up.");
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Begins a call. Its handlers hear of it until `close`. Throws `Problem` where it is larger than the agent takes. */
  open(kind: number, content: object, handlers: CallHandlers): number {
    const bytes = encode(JSON.stringify(content));
    if (bytes.length > MAX_FRAME_BYTES) throw new Problem("too_large", TOO_LARGE);
    const call = this.#nextCall++;
    if (!this.#isOpen) {
      queueMicrotask(() => handlers.onLost(this.#reason));
      return call;
    }
    this.#calls.set(call, handlers);
    this.#input.write(frame(kind, call, bytes));
    return call;
  }

  /** Sends bytes, which may not change any more, or nothing as their end; resolves when there is room for more. Rejects as `open` throws. */
  async send(kind: number, call: number, content: Uint8Array): Promise<void> {
    if (content.length > MAX_FRAME_BYTES) throw new Problem("too_large", TOO_LARGE);
    if (this.#isOpen && !writeFrame(this.#input, kind, call, content)) {
      // An agent that no longer listens has ended or will be ended: whoever waits hears of that, not of the pipe.
      await Promise.race([once(this.#input, "drain").catch(async () => await this.ended), this.ended]);
    }
  }

  close(call: number): void {
    this.#calls.delete(call);
  }

  /** One question, one answer. An agent that does not answer in time is stopped or broken, and its sandbox with it. */
  async ask(kind: number, content: object, timeoutMs: number): Promise<unknown> {
    return await new Promise((resolve, reject) => {
      const finish = (settle: () => void) => {
        clearTimeout(timer);
        this.close(call);
        settle();
      };
      const call = this.open(kind, content, {
        onFrame: (answer, bytes) => {
          if (answer === FROM_AGENT.done) finish(() => resolve(parseJson(bytes)));
          else if (answer === FROM_AGENT.failed) finish(() => reject(refusal(bytes)));
        },
        onLost: (reason) => finish(() => reject(new Problem("unavailable", reason))),
      });
      const timer = setTimeout(() => this.kill(SILENT), timeoutMs);
    });
  }

  /** Kills everything that a call started. False where something was left. */
  async killTree(call: number): Promise<boolean> {
    const answer = await this.ask(TO_AGENT.kill, { call, signal: "SIGKILL", isTree: true }, 3_000).catch(
      () => undefined,
    );
    return z.object({ isDone: z.literal(true) }).safeParse(answer).success;
  }

  /** Ends the sandbox with everything in it. Calls that are under way hear `reason`. */
  kill(reason: string): void {
    if (!this.#isOpen) return;
    this.#reason = reason;
    this.#child.kill("SIGKILL");
  }

  #lose(): void {
    this.#isOpen = false;
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const call of calls) call.onLost(this.#reason);
  }
}

/** JSON of a frame that came from inside; whoever asks parses what is in it. */
export function parseJson(bytes: Bytes): unknown {
  try {
    return JSON.parse(decode(bytes));
  } catch {
    return undefined;
  }
}

export function refusal(bytes: Bytes): AgentRefusal {
  const parsed = refusalSchema.safeParse(parseJson(bytes));
  return new AgentRefusal(parsed.success ? parsed.data.code : "EUNKNOWN");
}
