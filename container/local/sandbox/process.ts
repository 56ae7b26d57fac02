import { constants } from "node:os";
import * as z from "zod";
import type { CommandResult } from "../../../servers/sandbox/driver.ts";
import { type Bytes, encode } from "./bytes.ts";
import { type AgentLink, AgentRefusal, parseJson, refusal, SILENT } from "./agent-link.ts";
import { FROM_AGENT, TO_AGENT } from "./inside/frames.mjs";
import type { LiveOutput } from "./live-output.ts";
import { Problem } from "./problem.ts";
import type { Ending, ProcessRecord } from "./record.ts";

/** What a program can be given: its arguments and variables end at a NUL. */
const argument = (maxChars: number) =>
  z
    .string()
    .max(maxChars)
    .refine((text) => !text.includes("\0"), "it holds a NUL character");

export const commandSchema = z.object({
  command: argument(1_000_000).min(1),
  cwd: argument(4_096).optional(),
  env: z.record(z.string().regex(/^[A-Za-z_]\w*$/), argument(100_000)).default({}),
  stdin: z.string().max(16_000_000).optional(),
  input: z.enum(["closed", "open", "terminal"]).default("closed"),
  timeoutMs: z.int().min(1).max(2_147_483_647),
  waitMs: z.int().min(0).max(2_147_483_647),
  maxChars: z.int().min(1).max(10_000_000),
  isInternal: z.boolean().default(false),
});

export type CommandRequest = z.output<typeof commandSchema>;

/** How it ended, or why it could not be started. */
type Outcome = { readonly kind: "exited" } | { readonly kind: "refused"; readonly code: string };

const exitSchema = z.object({ code: z.int().nullable(), signal: z.string().max(20).nullable() });

/** As bash adds them to 128. */
const SIGNAL_NUMBERS: ReadonlyMap<string, number> = new Map(Object.entries(constants.signals));
const STDIN_CHUNK_BYTES = 256 * 1024;
const AFTER_KILL_MS = 2_000;
/** An agent that does not answer in this time is stopped or broken. */
const ASK_MS = 10_000;
const CTRL_D = "\u0004";
const INPUT_CLOSED = "The process reads no input any more; start it with an open input and do not end it.";
export const OUT_OF_MEMORY =
  "The sandbox's memory was used up and the kernel ended a process in it; use less memory at a time.";

export interface ProcessOptions {
  readonly record: ProcessRecord;
  readonly live: LiveOutput;
  /** Of the whole sandbox, since it was started. */
  readonly outOfMemoryKills: () => number;
}

/** One command in a running sandbox. */
export class SandboxProcess {
  readonly record: ProcessRecord;
  /** Resolves when the command itself has ended, whatever it left behind. */
  readonly ended: Promise<Outcome>;
  /** Resolves when the command's process is there. */
  readonly started: Promise<undefined>;
  readonly #link: AgentLink;
  readonly #call: number;
  readonly #options: ProcessOptions;
  readonly #input: CommandRequest["input"];
  /** What was to be written before is on its way. */
  #fed: Promise<void>;
  #isInputOpen: boolean;
  #isOver = false;
  /** With everything that it started. */
  #killing: Promise<unknown> = Promise.resolve();
  #settle: (outcome: Outcome) => void = () => undefined;
  #settleStarted: () => void = () => undefined;
  readonly #killsBefore: number;

  constructor(link: AgentLink, request: CommandRequest, options: ProcessOptions) {
    this.record = options.record;
    this.#link = link;
    this.#options = options;
    this.#input = request.input;
    this.#isInputOpen = request.input !== "closed";
    this.ended = new Promise((resolve) => (this.#settle = resolve));
    this.started = new Promise((resolve) => (this.#settleStarted = () => resolve(undefined)));
    this.#killsBefore = options.outOfMemoryKills();
    const { command, env, stdin } = request;
    this.#call = link.open(
      TO_AGENT.spawn,
      { command, cwd: absolute(request.cwd), env, input: inputOf(request), hasControl: false },
      { onFrame: (kind, content) => this.#onFrame(kind, content), onLost: (reason) => this.#onLost(reason) },
    );
    const timer = setTimeout(() => void this.#timeOut(), request.timeoutMs);
    void this.ended.then(() => clearTimeout(timer));
    this.#fed = stdin === undefined ? Promise.resolve() : this.#feed(encode(stdin));
  }

  /** Kills the command with everything that it started, or the whole sandbox where that fails. */
  async kill(): Promise<void> {
    const killing = this.#link.killTree(this.#call);
    this.#killing = killing;
    if (!(await killing))
      this.#link.kill("A command's processes could not be killed one by one; the sandbox was started afresh.");
    const timer = setTimeout(() => this.#link.kill(SILENT), AFTER_KILL_MS);
    await this.ended;
    clearTimeout(timer);
  }

  /** Sends a signal to its group. */
  async signal(signal: string): Promise<void> {
    const answer = await this.#link.ask(TO_AGENT.kill, { call: this.#call, signal, isTree: false }, ASK_MS);
    if (!z.object({ isDone: z.literal(true) }).safeParse(answer).success) throw hasEnded();
  }

  async write({ text, isEnd }: { readonly text: string; readonly isEnd: boolean }): Promise<void> {
    if (!this.record.isRunning) throw hasEnded();
    if (!this.#isInputOpen) throw new Problem("conflict", INPUT_CLOSED);
    const isTerminal = this.#input === "terminal";
    // A terminal's end of input is a character, and the terminal stays.
    const written = isTerminal ? { text: isEnd ? text + CTRL_D : text, isEnd: false } : { text, isEnd };
    const turn = this.#fed.then(
      async () => await this.#link.ask(TO_AGENT.input, { call: this.#call, ...written }, ASK_MS),
    );
    this.#fed = turn.then(
      () => undefined,
      () => undefined,
    );
    await turn.catch((error: unknown) => {
      throw error instanceof AgentRefusal ? refusedInput(error.code) : error;
    });
    // An end that was refused can be sent again.
    if (written.isEnd) this.#isInputOpen = false;
  }

  result(): Omit<CommandResult, "notes"> {
    const { command: _command, startedAtMs: _startedAtMs, ...info } = this.record.info();
    return { ...info, stdout: this.record.stdout.read(), stderr: this.record.stderr.read() };
  }

  /** Nobody wants what it or its children still say. */
  close(): void {
    this.#link.close(this.#call);
    void this.#link.send(TO_AGENT.forget, this.#call, new Uint8Array());
    // Nothing more is told of one that was never there; its timer need not hold it.
    this.#finish({ kind: "exited" });
  }

  #onFrame(kind: number, content: Bytes): void {
    if (kind === FROM_AGENT.stdout || kind === FROM_AGENT.stderr) {
      this.record.push(kind === FROM_AGENT.stdout ? "stdout" : "stderr", content);
      if (!this.#isOver) this.#options.live.push(content);
    } else if (kind === FROM_AGENT.started) {
      this.record.begin();
      this.#settleStarted();
    } else if (kind === FROM_AGENT.exit) {
      const { code, signal } = exitSchema.catch({ code: null, signal: "SIGKILL" }).parse(parseJson(content));
      const ending = code === null ? killedBy(signal ?? "SIGKILL") : { exitCode: code };
      // Whoever hears of the end finds nothing any more of what was to be killed with it.
      void this.#killing.then(() => this.#end(ending));
    } else if (kind === FROM_AGENT.failed) {
      this.#finish({ kind: "refused", code: refusal(content).code });
    }
  }

  #onLost(reason: string): void {
    if (!this.#isOver) this.record.note(reason);
    this.#end(killedBy("SIGKILL"));
    this.record.save();
    for (const output of [this.record.stdout, this.record.stderr]) output.stopSpooling();
  }

  #end(ending: Ending): void {
    if (this.#isOver) return;
    if (this.#options.outOfMemoryKills() > this.#killsBefore) this.record.note(OUT_OF_MEMORY);
    this.record.end(ending);
    this.#finish({ kind: "exited" });
  }

  #finish(outcome: Outcome): void {
    this.#isOver = true;
    this.#options.live.stop();
    this.#settle(outcome);
  }

  async #timeOut(): Promise<void> {
    if (this.#isOver) return;
    this.record.hasTimedOut = true;
    await this.kill();
  }

  async #feed(bytes: Bytes): Promise<void> {
    for (let at = 0; at < bytes.length && !this.#isOver; at += STDIN_CHUNK_BYTES) {
      await this.#link.send(TO_AGENT.stdin, this.#call, bytes.subarray(at, at + STDIN_CHUNK_BYTES));
    }
    if (this.#input === "closed") await this.#link.send(TO_AGENT.stdin, this.#call, new Uint8Array());
  }
}

function inputOf({ input, stdin }: CommandRequest): "none" | "pipe" | "terminal" {
  if (input === "terminal") return "terminal";
  return input === "open" || stdin !== undefined ? "pipe" : "none";
}

export function hasEnded(): Problem {
  return new Problem("conflict", "The process has ended; read what it has written, or start it again.");
}

function refusedInput(code: string): Problem {
  if (code === "EUNREAD")
    return new Problem("limit_reached", "The process has not read what was written before; wait until it has.");
  return new Problem("conflict", INPUT_CLOSED);
}

function killedBy(signal: string): Ending {
  return { exitCode: 128 + (SIGNAL_NUMBERS.get(signal) ?? 0), signal };
}

/** A path inside, from `/workspace` where it is relative. */
export function absolute(path: string | undefined): string {
  if (path === undefined || path === "") return "/workspace";
  return path.startsWith("/") ? path : `/workspace/${path}`;
}
