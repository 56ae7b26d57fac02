import { type CallPipeline, callRecorded } from "../core/call.ts";
import { describeFailure } from "../core/log.ts";
import { ToolError } from "../shared/errors.ts";
import type { ProcessOutput } from "./process.ts";
import {
  type Shell,
  type ShellSandbox,
  type TerminalSize,
  findShell,
  resizeShell,
  startShell,
  writtenBytes,
} from "./shell.ts";
import { type TerminalOrder, type Told, readSaid } from "./terminal-wire.ts";

export interface TerminalVisit {
  readonly order: TerminalOrder;
  readonly sandbox: ShellSandbox;
  readonly pipeline: Pick<CallPipeline, "caller" | "log" | "gate" | "record">;
  /** Whether whoever opened it may still look on. */
  readonly isStillIn: () => Promise<boolean>;
  readonly waitUntil: (work: Promise<unknown>) => void;
}

/** So much of what a shell has written is shown to whoever comes back. */
const SCROLLBACK_BYTES = 256 * 1024;
/** A page that shows less fast than a shell writes is not buried: what it has not seen is skipped in the middle. */
const MAX_UNSEEN_BYTES = 512 * 1024;
const WAIT_MS = 25_000;
const MAX_TYPED_CHARS = 4_000_000;
const WRITE_CHARS = 100_000;
const LOOK_AGAIN_MS = 5_000;
const BRING_OUT_MS = 60_000;
/** On Workers a request may make a thousand of its own, and all that happens here is one. */
const MAX_STEPS = 800;

const GONE = "The shell is gone: its sandbox was asleep, or was reset.";
const SIGNED_OUT = "Your session has ended: load the page again to sign in. The shell goes on.";

/** Answers an upgrade with a WebSocket on which a page and a shell in the visitor's sandbox talk. */
export function openTerminal(visit: TerminalVisit): Response {
  const { 0: theirs, 1: ours } = new WebSocketPair();
  ours.accept();
  visit.waitUntil(new Terminal(ours, visit).serve());
  return new Response(null, { status: 101, webSocket: theirs });
}

class Terminal {
  readonly #socket: WebSocket;
  readonly #visit: TerminalVisit;
  readonly #closed = new AbortController();
  #shell: Shell | undefined;
  #typed = "";
  #size: TerminalSize | undefined;
  #isWriting = false;
  #isResizing = false;
  #isBringingOut = false;
  #atBytes = 0;
  #broughtOutAt = 0;
  #seenBytes = 0;
  #onSeen: () => void = () => undefined;
  #steps = 0;

  constructor(socket: WebSocket, visit: TerminalVisit) {
    this.#socket = socket;
    this.#visit = visit;
    const close = (): void => {
      this.#closed.abort();
      this.#onSeen();
    };
    socket.addEventListener("close", close);
    socket.addEventListener("error", close);
    socket.addEventListener("message", ({ data }) => this.#hear(data));
  }

  /** Until one of the two has gone. */
  async serve(): Promise<void> {
    const looking = this.#lookAgain();
    try {
      await this.#talk();
    } catch (failure) {
      this.#fail(failure);
    }
    this.#closed.abort();
    await looking;
  }

  async #talk(): Promise<void> {
    const { order, sandbox } = this.#visit;
    const shell = await this.#open();
    if (shell === undefined) return;
    const isNew = order.shell === undefined;
    const totalBytes = isNew ? 0 : await this.#step(writtenBytes(sandbox, shell, this.#closed.signal));
    const isJoined = order.at !== undefined && order.at <= totalBytes && totalBytes - order.at <= SCROLLBACK_BYTES;
    const from = isJoined && order.at !== undefined ? order.at : Math.max(0, totalBytes - SCROLLBACK_BYTES);
    this.#shell = shell;
    this.#tell({ shell: shell.processId, isReset: order.at !== undefined && !isJoined });
    if (!isNew) this.#size ??= order;
    this.#visit.waitUntil(Promise.all([this.#write(), this.#resize()]));
    await this.#show(shell, from, from > 0 && !isJoined);
  }

  /** The shell that was asked for; where there is none, the page is told why. */
  async #open(): Promise<Shell | undefined> {
    const { order, sandbox, pipeline } = this.#visit;
    if (order.shell !== undefined) {
      if (await this.#endWhereOver()) return undefined;
      const found = await this.#step(findShell(sandbox, order.shell));
      if (found === undefined) this.#end(GONE);
      return found;
    }
    const onStarting = (progress?: string): void => this.#tell({ starting: progress ?? "" });
    const started = await this.#step(
      callRecorded(
        { name: "sandbox_terminal", scopes: ["sandbox:exec"] },
        { sandbox: order.sandbox },
        pipeline,
        () => 0,
        async () => await startShell(sandbox, order, { signal: this.#closed.signal, onStarting }),
      ),
    );
    if (started.ok) return started.outcome;
    this.#end(started.error.message);
    return undefined;
  }

  async #show({ processId }: Shell, from: number, isWithinLine: boolean): Promise<void> {
    const { signal } = this.#closed;
    this.#atBytes = this.#seenBytes = this.#broughtOutAt = from;
    while (!signal.aborted) {
      const atBytes = this.#atBytes;
      while (atBytes - this.#seenBytes > MAX_UNSEEN_BYTES && !signal.aborted) {
        await new Promise<void>((resolve) => (this.#onSeen = resolve));
      }
      const read = { until: "output", waitMs: WAIT_MS, maxChars: SCROLLBACK_BYTES } as const;
      const after = { stdout: atBytes, stderr: 0 };
      const output = await this.#step(this.#visit.sandbox.readProcess(processId, { ...read, after }, { signal }));
      const { text, totalBytes } = output.stdout;
      const shown = isWithinLine && atBytes === from ? text.slice(text.indexOf("\n") + 1) : text;
      if (totalBytes > atBytes) this.#tell({ output: shown, at: totalBytes });
      this.#atBytes = totalBytes;
      if (output.isRunning) continue;
      this.#end(endOf(output));
      return await this.#bringOut();
    }
  }

  #hear(data: unknown): void {
    if (this.#closed.signal.aborted) return;
    const message = readSaid(data);
    if (message === undefined) return this.#end("The page said something that is not understood; load it again.");
    if ("seen" in message) {
      this.#seenBytes = Math.max(this.#seenBytes, message.seen);
      this.#onSeen();
    } else if ("size" in message) {
      this.#size = message.size;
      this.#visit.waitUntil(this.#resize());
    } else {
      this.#typed += message.input;
      if (this.#typed.length > MAX_TYPED_CHARS) return this.#end("What runs in the shell does not read what is typed.");
      this.#visit.waitUntil(this.#write());
    }
  }

  /** What is typed meanwhile goes in one piece, once what was typed before is on its way. */
  async #write(): Promise<void> {
    if (this.#isWriting || this.#shell === undefined) return;
    this.#isWriting = true;
    const { processId } = this.#shell;
    try {
      while (this.#typed !== "") {
        const text = wholeCharacters(this.#typed, WRITE_CHARS);
        this.#typed = this.#typed.slice(text.length);
        await this.#step(this.#visit.sandbox.writeInput(processId, { text, isEnd: false }));
      }
    } catch (failure) {
      this.#typed = "";
      // Of its end the page is told by what it wrote last.
      if (!(failure instanceof ToolError && failure.code === "conflict")) this.#fail(failure);
    }
    this.#isWriting = false;
  }

  /** One after the other, and the last is what holds. */
  async #resize(): Promise<void> {
    if (this.#isResizing) return;
    this.#isResizing = true;
    try {
      while (this.#size !== undefined && this.#shell !== undefined) {
        const size = this.#size;
        this.#size = undefined;
        await this.#step(resizeShell(this.#visit.sandbox, this.#shell, size, this.#closed.signal));
      }
    } catch (failure) {
      this.#fail(failure);
    }
    this.#isResizing = false;
  }

  async #lookAgain(): Promise<void> {
    const { signal } = this.#closed;
    while (!signal.aborted) {
      await scheduler.wait(LOOK_AGAIN_MS, { signal }).catch(() => undefined);
      if (signal.aborted || (await this.#step(this.#endWhereOver()))) return;
      this.#visit.waitUntil(this.#bringOut());
    }
  }

  /** What its commands have left in the files comes there by a read that may take its time, and none of its output. */
  async #bringOut(): Promise<void> {
    if (this.#shell === undefined || this.#isBringingOut || this.#broughtOutAt === this.#atBytes) return;
    const { processId } = this.#shell;
    this.#isBringingOut = true;
    const at = this.#atBytes;
    const read = { after: { stdout: at, stderr: 0 }, waitMs: 0, maxChars: 1 };
    // What fails is brought out by the next call.
    const signal = AbortSignal.timeout(BRING_OUT_MS);
    await this.#step(this.#visit.sandbox.readProcess(processId, read, { signal })).catch(() => undefined);
    [this.#isBringingOut, this.#broughtOutAt] = [false, at];
  }

  /** Ends where the visitor is signed out by now, or paused. Where nobody can say whether they are paused, it goes on. */
  async #endWhereOver(): Promise<boolean> {
    const { isStillIn, pipeline } = this.#visit;
    const isIn = await isStillIn().catch(() => false);
    const why = isIn ? await pipeline.gate.check().then(() => undefined, whyRefused) : SIGNED_OUT;
    if (why !== undefined) this.#end(why);
    return why !== undefined;
  }

  async #step<T>(work: Promise<T>): Promise<T> {
    this.#steps += 1;
    if (this.#steps === MAX_STEPS) this.#tell({ again: true });
    return await work;
  }

  #tell(message: Told): void {
    if (!this.#closed.signal.aborted) this.#socket.send(JSON.stringify(message));
  }

  /** The page does not come back by itself. */
  #end(why: string): void {
    this.#tell({ over: why });
    this.#close(1_000);
  }

  /** The page comes back in a moment. */
  #fail(failure: unknown): void {
    if (this.#closed.signal.aborted) return;
    if (failure instanceof ToolError && failure.code === "not_found") return this.#end(GONE);
    this.#visit.pipeline.log.info("terminal broke", { failure: describeFailure(failure) });
    this.#close(1_011);
  }

  #close(code: number): void {
    if (this.#closed.signal.aborted) return;
    this.#closed.abort();
    this.#typed = "";
    this.#socket.close(code);
  }
}

function whyRefused(failure: unknown): string | undefined {
  if (!(failure instanceof ToolError)) throw failure;
  return failure.code === "unavailable" ? undefined : failure.message;
}

function endOf({ hasTimedOut, signal, exitCode }: ProcessOutput): string {
  if (hasTimedOut) return "The shell has ended: it was open for a day.";
  return `The shell has ended (${signal ?? `exit ${exitCode ?? "unknown"}`}).`;
}

/** So many characters at most, and none of two halves cut in two. */
function wholeCharacters(text: string, maxChars: number): string {
  const part = text.slice(0, maxChars);
  return part.isWellFormed() || part.length === text.length ? part : part.slice(0, -1);
}
