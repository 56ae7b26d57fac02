import type { FileStore } from "../files/store.ts";

/** One implementation of the callers' Linux environments. */
export interface SandboxDriver {
  /**
   * The sandbox with that id, created on first use. Costs nothing until a method is called.
   * `id` is derived from the verified caller (`sandboxId`), never from input alone. `files` is the same caller's
   * workspace, seen inside at `/workspace/files`: what a call finds there is what `files` held when it began, and
   * what it leaves there is in `files` when it returns.
   */
  open(id: string, files: FileStore): Sandbox;
}

/**
 * One caller's Linux environment. All commands and code contexts of a sandbox share processes, network and mounts.
 * The working directory is `/workspace`. Every method throws `ToolError("unavailable")` where the sandbox cannot be
 * reached, and says what to do.
 */
export interface Sandbox {
  /**
   * Runs `command` with bash. Resolves when it has ended or after `waitMs`, whichever is first; then it goes on as
   * a process until `timeoutMs` has passed, when its whole process tree is killed. When `watch.signal` aborts, the
   * tree is killed and the call rejects with `ToolError("cancelled")`. A command that fails is a result.
   */
  exec(command: Command, watch: Watch): Promise<CommandResult>;

  /** Every process that is running or remembered, newest first. Does not wake a sandbox that is asleep. */
  listProcesses(): Promise<readonly ProcessInfo[]>;

  /**
   * What a process has written after the cursors, waiting at most `read.waitMs` for new output, for `read.until`, or
   * for its end. Rejects with `not_found` where the process is not remembered.
   */
  readProcess(processId: string, read: ProcessRead, watch: Watch): Promise<ProcessOutput>;

  /** Writes to the standard input of a process that was started with `input: "open"` or `"terminal"`. */
  writeInput(processId: string, input: ProcessInput): Promise<void>;

  /** Sends a signal to the process's group; SIGKILL ends its whole tree. Rejects with `conflict` where it has ended. */
  signalProcess(processId: string, signal: ProcessSignal): Promise<void>;

  /** The first 64 MB of what a process has written to one of its outputs so far. */
  readOutput(processId: string, stream: "stdout" | "stderr"): Promise<StoredOutput>;

  /** Rejects with `not_found` where nothing is there, `invalid_input` for a folder, `too_large` over `maxBytes`. */
  readFile(path: string, maxBytes: number): Promise<Uint8Array>;

  /** Writes the whole file or nothing; missing folders are made. */
  writeFile(path: string, bytes: Uint8Array): Promise<void>;

  /**
   * Runs code in a context that keeps its state; the context is made on first use. Code that throws is a result;
   * a context that crashed or was killed says so in `error` and is fresh on the next run. After `timeoutMs` the
   * code is interrupted and the context keeps its state where the language allows it.
   */
  runCode(code: Code, watch: Watch): Promise<CodeResult>;

  /** The code contexts that hold state. Does not wake a sandbox that is asleep. */
  listContexts(): Promise<readonly CodeContextInfo[]>;

  /** Forgets a context's state; the next run finds it fresh. Nothing happens where there is none. */
  resetContext(language: CodeLanguage, context: string): Promise<void>;

  /** How the sandbox is. Does not wake one that is asleep. */
  status(): Promise<SandboxStatus>;

  /**
   * Ends every process and context and empties `/workspace`, but for `/workspace/files`, which is the caller's
   * durable workspace. The next call finds a fresh sandbox.
   */
  reset(): Promise<void>;
}

export interface Watch {
  readonly signal: AbortSignal;
  /** Called with output as it comes, at most a few times a second. */
  readonly onOutput?: (text: string) => void;
}

export interface Command {
  /** Given to `bash -c`. */
  readonly command: string;
  /** Absolute, or relative to `/workspace`. */
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  /**
   * What standard input is after `stdin`: at its end (`closed`, the default), a pipe for `writeInput` (`open`), or a
   * pseudo-terminal (`terminal`), where stdout and stderr are one and come as stdout.
   */
  readonly input?: "closed" | "open" | "terminal";
  readonly timeoutMs: number;
  readonly waitMs: number;
  /** How many characters of each output the result carries, head and tail kept. */
  readonly maxChars: number;
}

export interface CommandResult {
  /** Finds the process and its stored output again. */
  readonly processId: string;
  readonly isRunning: boolean;
  /** Absent while it runs; 128 + signal number where a signal ended it, as bash says it. */
  readonly exitCode?: number;
  /** The signal that ended it, `SIGKILL`. */
  readonly signal?: string;
  readonly hasTimedOut: boolean;
  readonly stdout: CapturedOutput;
  readonly stderr: CapturedOutput;
  readonly durationMs: number;
  /** Sentences for the reader: files that were left out, a sandbox that was started afresh. */
  readonly notes?: readonly string[];
}

export interface CapturedOutput {
  /** All of it, or head and tail with a line between them that says how much was left out. */
  readonly text: string;
  /** How much was written in all. */
  readonly totalBytes: number;
  readonly isCut: boolean;
}

export interface StoredOutput {
  readonly body: ReadableStream<Uint8Array>;
  /** Exact length of `body`. */
  readonly sizeBytes: number;
}

export interface ProcessInfo {
  readonly processId: string;
  readonly command: string;
  readonly startedAtMs: number;
  readonly isRunning: boolean;
  /** As in `CommandResult`. */
  readonly exitCode?: number;
  readonly signal?: string;
  readonly hasTimedOut: boolean;
  /** Until its end, or until now. */
  readonly durationMs: number;
}

export interface ProcessRead {
  /** Bytes of each output that the reader has already; 0 for all. */
  readonly after: { readonly stdout: number; readonly stderr: number };
  readonly waitMs: number;
  /**
   * Wait for that instead of for any new output: for text after the cursors that matches a regular expression, for
   * something that listens on a port of the sandbox's localhost, or for the end.
   */
  readonly until?: { readonly pattern: string } | { readonly port: number } | "end";
  /** How many characters of each output the answer carries; the rest is there for the next read. */
  readonly maxChars: number;
}

export interface ProcessOutput extends ProcessInfo {
  readonly stdout: OutputPiece;
  readonly stderr: OutputPiece;
  /** Whether `until` came true. */
  readonly isReached: boolean;
  readonly notes?: readonly string[];
}

export interface OutputPiece {
  readonly text: string;
  /** The cursor for the next read. */
  readonly next: number;
  /** Bytes between the cursor and `text` that are not kept any more. */
  readonly skippedBytes: number;
}

export interface ProcessInput {
  readonly text: string;
  /** Closes standard input after `text`; in a terminal it is Ctrl-D. */
  readonly isEnd: boolean;
}

export type ProcessSignal = "SIGINT" | "SIGTERM" | "SIGKILL" | "SIGHUP" | "SIGQUIT" | "SIGUSR1" | "SIGUSR2";

export type CodeLanguage = "python" | "javascript" | "typescript";

export interface CodeContextInfo {
  readonly language: CodeLanguage;
  readonly context: string;
  readonly isBusy: boolean;
}

export interface SandboxStatus {
  readonly driver: "local" | "container" | "simulated";
  readonly state: "running" | "asleep" | "starting";
  /** Since it was last started; absent while it is asleep. */
  readonly uptimeMs?: number;
  /** How long it has run in all, as it is billed; absent where nothing is billed. */
  readonly billedMs?: number;
  /** Absent where it is not known without waking it. */
  readonly disk?: { readonly usedBytes: number; readonly limitBytes?: number };
  readonly memory?: { readonly usedBytes: number; readonly limitBytes?: number };
  /** All processes inside, those of contexts and daemons among them. */
  readonly processCount?: number;
  /** Sentences: what this driver cannot do here. */
  readonly notes?: readonly string[];
}

export interface Code {
  readonly code: string;
  readonly language: CodeLanguage;
  /** Name of the context; state is kept per language and name, but TypeScript and JavaScript share theirs. */
  readonly context: string;
  readonly timeoutMs: number;
  readonly maxChars: number;
}

export interface CodeResult {
  readonly stdout: CapturedOutput;
  readonly stderr: CapturedOutput;
  /** What the code displayed and the value of its last expression, in order. */
  readonly results: readonly CodeOutput[];
  readonly error?: CodeError;
  readonly durationMs: number;
  /** As in `CommandResult`. */
  readonly notes?: readonly string[];
}

/** One displayed value in every form the language offered. */
export interface CodeOutput {
  readonly text?: string;
  readonly html?: string;
  readonly markdown?: string;
  readonly latex?: string;
  readonly svg?: string;
  readonly json?: string;
  /** Base64. */
  readonly png?: string;
  /** Base64. */
  readonly jpeg?: string;
}

export interface CodeError {
  /** `ZeroDivisionError`; `ContextCrashed` where the process died, `Interrupted` after a timeout. */
  readonly name: string;
  readonly message: string;
  /** The last frames, without colour codes. */
  readonly traceback: string;
}

/** The id of a caller's sandbox: lower case, as container names are, and the same person's only. */
export function sandboxId(userId: string, name: string): string {
  return `${userId}-${name.toLowerCase()}`;
}
