import { rm } from "node:fs/promises";
import * as z from "zod";
import { type Bytes, encode } from "./bytes.ts";
import { type AgentLink, parseJson, refusal, SILENT } from "./agent-link.ts";
import { FROM_AGENT, TO_AGENT } from "./inside/frames.mjs";
import { type CapturedText, type LiveOutput, Output, type SpoolBudget } from "./output.ts";

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
  timeoutMs: z.int().min(1).max(2_147_483_647),
  waitMs: z.int().min(0).max(2_147_483_647),
  maxChars: z.int().min(1).max(10_000_000),
});

export type CommandRequest = z.output<typeof commandSchema>;

/** As `CommandResult` of the driver. */
export interface ProcessResult {
  readonly processId: string;
  readonly isRunning: boolean;
  readonly exitCode?: number;
  readonly signal?: string;
  readonly hasTimedOut: boolean;
  readonly stdout: CapturedText;
  readonly stderr: CapturedText;
  readonly durationMs: number;
  readonly notes: readonly string[];
}

type Ending =
  | { readonly kind: "exited"; readonly exitCode: number; readonly signal?: string }
  | { readonly kind: "refused"; readonly code: string };

const exitSchema = z.object({ code: z.int().nullable(), signal: z.string().max(20).nullable() });

/** Numbers of the signals that end processes, as bash adds them to 128. */
const SIGNAL_NUMBERS: Readonly<Record<string, number>> = {
  ...{ SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGILL: 4, SIGTRAP: 5, SIGABRT: 6, SIGBUS: 7, SIGFPE: 8, SIGKILL: 9 },
  ...{
    SIGUSR1: 10,
    SIGSEGV: 11,
    SIGUSR2: 12,
    SIGPIPE: 13,
    SIGALRM: 14,
    SIGTERM: 15,
    SIGXCPU: 24,
    SIGXFSZ: 25,
    SIGSYS: 31,
  },
};
const STDIN_CHUNK_BYTES = 256 * 1024;
const AFTER_KILL_MS = 2_000;

export interface ProcessOptions {
  readonly id: string;
  readonly spoolDir: string;
  readonly spoolBytes: number;
  readonly budget: SpoolBudget;
  readonly live: LiveOutput;
  /** Of the whole sandbox, since it was started. */
  readonly outOfMemoryKills: () => number;
}

/** One command in a sandbox, from its start until its result is forgotten. */
export class SandboxProcess {
  readonly id: string;
  readonly stdout: Output;
  readonly stderr: Output;
  /** Resolves when the command itself has ended, whatever it left behind. */
  readonly ended: Promise<Ending>;
  /** Resolves when the command's process is there. */
  readonly started: Promise<undefined>;
  readonly #link: AgentLink;
  readonly #call: number;
  readonly #options: ProcessOptions;
  readonly #startedMs = performance.now();
  readonly #notes: string[] = [];
  #ending: Ending | undefined;
  #endedMs: number | undefined;
  #hasTimedOut = false;
  #settle: (ending: Ending) => void = () => undefined;
  #settleStarted: () => void = () => undefined;
  readonly #killsBefore: number;

  constructor(link: AgentLink, request: CommandRequest, options: ProcessOptions) {
    this.id = options.id;
    this.#link = link;
    this.#options = options;
    const output = (name: string): Output =>
      new Output({
        spoolPath: `${options.spoolDir}/${options.id}.${name}`,
        maxChars: request.maxChars,
        maxSpoolBytes: options.spoolBytes,
        budget: options.budget,
      });
    this.stdout = output("stdout");
    this.stderr = output("stderr");
    this.ended = new Promise((resolve) => (this.#settle = resolve));
    this.started = new Promise((resolve) => (this.#settleStarted = () => resolve(undefined)));
    this.#killsBefore = options.outOfMemoryKills();
    const { command, env, stdin } = request;
    this.#call = link.open(
      TO_AGENT.spawn,
      { command, cwd: absolute(request.cwd), env, hasStdin: stdin !== undefined, hasControl: false },
      { onFrame: (kind, content) => this.#onFrame(kind, content), onLost: (reason) => this.#onLost(reason) },
    );
    const timer = setTimeout(() => void this.#timeOut(), request.timeoutMs);
    void this.ended.then(() => clearTimeout(timer));
    if (stdin !== undefined) void this.#feed(encode(stdin));
  }

  get isRunning(): boolean {
    return this.#ending === undefined;
  }

  /** Kills the command with everything that it started, or the whole sandbox where that fails. */
  async kill(): Promise<void> {
    const isDone = await this.#link.killTree(this.#call);
    if (!isDone)
      this.#link.kill("A command's processes could not be killed one by one; the sandbox was started afresh.");
    const timer = setTimeout(() => this.#link.kill(SILENT), AFTER_KILL_MS);
    await this.ended;
    clearTimeout(timer);
  }

  result(): ProcessResult {
    const ending = this.#ending;
    return {
      processId: this.id,
      isRunning: ending === undefined,
      ...(ending?.kind === "exited" && {
        exitCode: ending.exitCode,
        ...(ending.signal !== undefined && { signal: ending.signal }),
      }),
      hasTimedOut: this.#hasTimedOut,
      stdout: this.stdout.read(),
      stderr: this.stderr.read(),
      durationMs: (this.#endedMs ?? performance.now()) - this.#startedMs,
      notes: [...this.#notes],
    };
  }

  note(sentence: string): void {
    this.#notes.push(sentence);
  }

  /** Removes what is stored of it. */
  async forget(): Promise<void> {
    this.#link.close(this.#call);
    void this.#link.send(TO_AGENT.forget, this.#call, new Uint8Array());
    for (const output of [this.stdout, this.stderr]) {
      output.stopSpooling();
      this.#options.budget.leftBytes += output.spooledBytes;
      await rm(output.spoolPath, { force: true });
    }
  }

  #onFrame(kind: number, content: Bytes): void {
    if (kind === FROM_AGENT.stdout || kind === FROM_AGENT.stderr) {
      (kind === FROM_AGENT.stdout ? this.stdout : this.stderr).push(content);
      if (this.isRunning) this.#options.live.push(content);
    } else if (kind === FROM_AGENT.started) {
      this.#settleStarted();
    } else if (kind === FROM_AGENT.exit) {
      const { code, signal } = exitSchema.catch({ code: null, signal: "SIGKILL" }).parse(parseJson(content));
      this.#end(code === null ? killedBy(signal ?? "SIGKILL") : { kind: "exited", exitCode: code });
    } else if (kind === FROM_AGENT.failed) {
      this.#end({ kind: "refused", code: refusal(content).code });
    }
  }

  #onLost(reason: string): void {
    if (this.isRunning) this.note(reason);
    this.#end(killedBy("SIGKILL"));
    for (const output of [this.stdout, this.stderr]) output.stopSpooling();
  }

  #end(ending: Ending): void {
    if (this.#ending !== undefined) return;
    this.#ending = ending;
    this.#endedMs = performance.now();
    if (this.#options.outOfMemoryKills() > this.#killsBefore) {
      this.note("The sandbox's memory was used up and the kernel ended a process in it; use less memory at a time.");
    }
    this.#options.live.stop();
    this.#settle(ending);
  }

  async #timeOut(): Promise<void> {
    if (!this.isRunning) return;
    this.#hasTimedOut = true;
    await this.kill();
  }

  async #feed(bytes: Bytes): Promise<void> {
    for (let at = 0; at < bytes.length && this.isRunning; at += STDIN_CHUNK_BYTES) {
      await this.#link.send(TO_AGENT.stdin, this.#call, bytes.subarray(at, at + STDIN_CHUNK_BYTES));
    }
    await this.#link.send(TO_AGENT.stdin, this.#call, new Uint8Array());
  }
}

function killedBy(signal: string): Ending {
  return { kind: "exited", exitCode: 128 + (SIGNAL_NUMBERS[signal] ?? 0), signal };
}

/** A path inside, from `/workspace` where it is relative. */
export function absolute(path: string | undefined): string {
  if (path === undefined || path === "") return "/workspace";
  return path.startsWith("/") ? path : `/workspace/${path}`;
}
