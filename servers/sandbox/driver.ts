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

export interface Code {
  readonly code: string;
  readonly language: "python" | "javascript";
  /** Name of the context; state is kept per language and name. */
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
