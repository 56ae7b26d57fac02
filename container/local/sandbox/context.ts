import { randomBytes } from "node:crypto";
import * as z from "zod";
import { type Bytes, concatBytes, copyBytes, decode, encode } from "./bytes.ts";
import { type AgentLink, parseJson, refusal } from "./agent-link.ts";
import { FROM_AGENT, MAX_FRAME_BYTES, TO_AGENT } from "./inside/frames.mjs";
import { MarkedStream } from "./marked-stream.ts";
import { type CodeError, type CodeRunResult, crashed, errorSchema, formsSchema, stopped } from "./code-result.ts";
import type { LiveOutput } from "./live-output.ts";
import { Problem } from "./problem.ts";
import { OUT_OF_MEMORY } from "./process.ts";

export const codeSchema = z.object({
  code: z.string().max(2_000_000),
  language: z.enum(["python", "javascript", "typescript"]),
  context: z.string().min(1).max(200),
  isFresh: z.boolean().default(false),
  timeoutMs: z.int().min(1).max(2_147_483_647),
  maxChars: z.int().min(1).max(10_000_000),
});

export type CodeRequest = z.output<typeof codeSchema>;

const messageSchema = z.union([
  z.object({ ready: z.literal(true) }),
  /** From here on Python code can be interrupted. */
  z.object({ begun: z.string() }),
  z.object({ result: formsSchema }),
  z.object({ done: z.string(), error: errorSchema.nullable(), resultCount: z.int() }),
]);

const exitSchema = z.object({ code: z.int().nullable(), signal: z.string().max(20).nullable() });

/** TypeScript runs where JavaScript does. */
export type ContextLanguage = keyof typeof PROGRAMS;

const PROGRAMS = {
  python:
    "export MPLBACKEND=module://matplotlib_inline.backend_inline IPYTHONDIR=/tmp/ipython; exec python3 /opt/pincer/kernel.py",
  javascript: "exec node --no-warnings --no-force-async-hooks-checks /opt/pincer/kernel.mjs",
} as const;

const START_TIMEOUT_MS = 30_000;
/** How long interrupted code may take to stop before its context is ended. */
const GRACE_MS = 3_000;
const AFTER_KILL_MS = 3_000;
/** Output that comes later than this after the end of a run has lost its way. */
const MARK_TIMEOUT_MS = 1_000;
const MAX_LINE_BYTES = 12_000_000;
const MAX_RESULTS_BYTES = 24_000_000;
const MAX_STARTUP_BYTES = 4_000;

interface Run {
  readonly mark: string;
  readonly streams: Readonly<Record<"stdout" | "stderr", MarkedStream>>;
  readonly live: LiveOutput;
  readonly results: z.output<typeof formsSchema>[];
  resultBytes: number;
  /** Settled by `begin`, which Python says, and by `finish`. */
  readonly begun: Promise<void>;
  readonly begin: () => void;
  readonly finish: (error: CodeError | undefined) => void;
}

/** One interpreter with its variables. Runs one piece of code at a time. */
export class CodeContext {
  readonly #link: AgentLink;
  readonly #language: ContextLanguage;
  readonly #outOfMemoryKills: () => number;
  readonly #call: number;
  readonly #ready: Promise<void>;
  #queue: Promise<unknown> = Promise.resolve();
  #queued = 0;
  #run: Run | undefined;
  #line: Bytes[] = [];
  #lineBytes = 0;
  #startup = "";
  /** Before the run that is under way. */
  #killsBefore: number;
  #end: string | undefined;
  #settleReady: (failure?: Problem) => void = () => undefined;

  constructor(link: AgentLink, language: ContextLanguage, outOfMemoryKills: () => number) {
    this.#link = link;
    this.#language = language;
    this.#outOfMemoryKills = outOfMemoryKills;
    this.#killsBefore = outOfMemoryKills();
    this.#ready = new Promise((resolve, reject) => {
      this.#settleReady = (failure) => (failure === undefined ? resolve() : reject(failure));
    });
    const request = { command: PROGRAMS[language], cwd: "/workspace", env: {}, input: "none", hasControl: true };
    this.#call = link.open(TO_AGENT.spawn, request, {
      onFrame: (kind, content) => this.#onFrame(kind, content),
      onLost: (reason) => this.#crash(reason),
    });
    const timer = setTimeout(() => {
      this.#crash("It said nothing for too long.");
      void this.kill();
    }, START_TIMEOUT_MS);
    void this.#ready.catch(() => undefined).finally(() => clearTimeout(timer));
  }

  get isOpen(): boolean {
    return this.#end === undefined;
  }

  get isBusy(): boolean {
    return this.#queued > 0;
  }

  /** Runs code when what was asked before has ended. */
  async run(request: CodeRequest, live: LiveOutput, signal: AbortSignal): Promise<CodeRunResult> {
    this.#queued += 1;
    const turn = this.#queue.then(() => this.#runNow(request, live, signal)).finally(() => (this.#queued -= 1));
    this.#queue = turn.catch(() => undefined);
    return await turn;
  }

  /** Ends it when what was asked before has ended. */
  async retire(): Promise<void> {
    await this.#queue;
    if (this.isOpen) await this.kill();
  }

  async kill(): Promise<void> {
    if (!(await this.#link.killTree(this.#call)))
      this.#link.kill("A code context could not be ended; the sandbox was started afresh.");
  }

  async #runNow(request: CodeRequest, live: LiveOutput, signal: AbortSignal): Promise<CodeRunResult> {
    await this.#ready;
    if (signal.aborted) throw new Problem("cancelled", "The call was cancelled.");
    const startedMs = performance.now();
    const mark = randomBytes(16).toString("hex");
    const output = (): MarkedStream => new MarkedStream(mark, request.maxChars);
    const streams = { stdout: output(), stderr: output() };
    const results: z.output<typeof formsSchema>[] = [];
    let wasStopped = false;

    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const finished = new Promise<CodeError | undefined>((finish) => {
      this.#run = { mark, streams, live, results, resultBytes: 0, begun, begin, finish };
    });
    void finished.then(() => begin());
    this.#killsBefore = this.#outOfMemoryKills();
    if (this.#end !== undefined) this.#run?.finish(crashed(this.#end));
    void this.#send({ mark, code: request.code, language: request.language });

    const stop = (): void => {
      wasStopped = true;
      void this.#stop(mark);
    };
    const timer = setTimeout(stop, request.timeoutMs);
    signal.addEventListener("abort", stop, { once: true });
    const error = await finished;
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
    if (this.#end === undefined)
      await Promise.race([Promise.all([streams.stdout.marked, streams.stderr.marked]), delay(MARK_TIMEOUT_MS)]);
    this.#run = undefined;
    live.stop();
    for (const stream of [streams.stdout, streams.stderr]) stream.end();

    const told = wasStopped && error !== undefined ? stopped(error, this.#end === undefined, request.timeoutMs) : error;
    return {
      stdout: streams.stdout.output.read(),
      stderr: streams.stderr.output.read(),
      results,
      ...(told !== undefined && { error: told }),
      durationMs: performance.now() - startedMs,
      notes: this.#end === undefined && this.#hasRunOutOfMemory ? [OUT_OF_MEMORY] : [],
    };
  }

  get #hasRunOutOfMemory(): boolean {
    return this.#outOfMemoryKills() > this.#killsBefore;
  }

  /** Interrupts the code, or ends the context where that does not help. */
  async #stop(mark: string): Promise<void> {
    if (this.#language === "python") {
      await Promise.race([this.#run?.begun, delay(GRACE_MS)]);
      if (this.#run?.mark !== mark) return;
      await this.#link
        .ask(TO_AGENT.kill, { call: this.#call, signal: "SIGINT", isTree: false }, GRACE_MS)
        .catch(() => undefined);
    } else {
      await this.#send({ stop: true });
    }
    await delay(GRACE_MS);
    if (this.#run?.mark !== mark) return;
    await this.kill();
    await delay(AFTER_KILL_MS);
    if (this.#run?.mark === mark) this.#link.kill("A code context could not be ended; the sandbox was started afresh.");
  }

  /** In pieces that the agent takes, with nothing between them. */
  async #send(message: object): Promise<void> {
    const bytes = encode(`${JSON.stringify(message)}\n`);
    const sending: Promise<void>[] = [];
    for (let at = 0; at < bytes.length; at += MAX_FRAME_BYTES)
      sending.push(this.#link.send(TO_AGENT.control, this.#call, bytes.subarray(at, at + MAX_FRAME_BYTES)));
    await Promise.all(sending);
  }

  #onFrame(kind: number, content: Bytes): void {
    if (kind === FROM_AGENT.stdout || kind === FROM_AGENT.stderr)
      this.#onOutput(kind === FROM_AGENT.stdout ? "stdout" : "stderr", content);
    else if (kind === FROM_AGENT.control) this.#onControl(content);
    else if (kind === FROM_AGENT.exit) this.#crash(this.#exitReason(content));
    else if (kind === FROM_AGENT.failed) this.#crash(`The sandbox could not start it (${refusal(content).code}).`);
  }

  #onOutput(stream: "stdout" | "stderr", content: Bytes): void {
    if (this.#run === undefined) this.#startup = (this.#startup + decode(content)).slice(-MAX_STARTUP_BYTES);
    else if (this.#run.streams[stream].push(content)) this.#run.live.push(content);
  }

  #onControl(content: Bytes): void {
    let start = 0;
    for (let end = content.indexOf(10); end !== -1; end = content.indexOf(10, start)) {
      const line = concatBytes([...this.#line, content.subarray(start, end)]);
      this.#line = [];
      this.#lineBytes = 0;
      start = end + 1;
      this.#onMessage(line);
    }
    this.#line.push(copyBytes(content.subarray(start)));
    this.#lineBytes += content.length - start;
    if (this.#lineBytes > MAX_LINE_BYTES) this.#distrust();
  }

  /** Something inside speaks in the interpreter's name: nothing that it says can be believed any more. */
  #distrust(): void {
    this.#crash("The code wrote to the interpreter's own channel.");
    void this.kill();
  }

  #onMessage(line: Bytes): void {
    const message = messageSchema.safeParse(parseJson(line));
    const run = this.#run;
    if (!message.success) this.#distrust();
    else if ("ready" in message.data) this.#settleReady();
    else if (run === undefined) return;
    else if ("begun" in message.data) run.begin();
    else if ("result" in message.data) {
      run.resultBytes += line.length;
      if (run.resultBytes <= MAX_RESULTS_BYTES) run.results.push(message.data.result);
    } else if (message.data.done === run.mark) {
      const missing = message.data.resultCount - run.results.length;
      if (missing > 0) run.results.push({ text: `${missing} more results were left out.` });
      run.finish(message.data.error ?? undefined);
    }
  }

  #exitReason(content: Bytes): string {
    const parsed = exitSchema.safeParse(parseJson(content));
    const { code, signal } = parsed.success ? parsed.data : { code: null, signal: null };
    if (signal === "SIGKILL" && this.#hasRunOutOfMemory)
      return "The sandbox's memory was used up, and the kernel ended the code's process; use less memory at a time.";
    return code === null
      ? `The code's process was ended by ${signal ?? "a signal"}.`
      : `The code's process ended with exit code ${code}.`;
  }

  #crash(reason: string): void {
    if (this.#end !== undefined) return;
    this.#end = reason;
    const missing = /ModuleNotFoundError: No module named '(IPython|traitlets)|python3: (command )?not found/.test(
      this.#startup,
    );
    this.#settleReady(
      missing
        ? new Problem(
            "unavailable",
            "Python code needs IPython: install it (on Debian and Ubuntu, apt install python3-ipython) and run the code again.",
          )
        : new Problem("unavailable", `The code context did not start; try again. ${reason}`),
    );
    this.#run?.finish(crashed(reason));
    this.#link.close(this.#call);
  }
}

async function delay(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms).unref());
}
