import type { MountedFiles } from "../files/store.ts";
import type {
  CapturedOutput,
  OutputPosition,
  ProcessInfo,
  ProcessInput,
  ProcessOutput,
  ProcessRead,
  ProcessSignal,
} from "./process.ts";

/** One implementation of the callers' Linux environments. */
export interface SandboxDriver {
  /**
   * The sandbox with that id, created on first use. Costs nothing until a method is called.
   * `id` is derived from the verified caller (`sandboxId`), never from input alone. `files` is the same caller's
   * workspace, seen inside at `/workspace/files`: what a call finds there is what `files` held when it began, and
   * what it leaves there is in `files` when it returns.
   */
  open(id: string, files: MountedFiles): Sandbox;
}

/**
 * One caller's Linux environment. All commands and code contexts of a sandbox share processes, network and mounts.
 * The working directory is `/workspace`. Every method throws `ToolError("unavailable")` where the sandbox cannot be
 * reached, and says what to do.
 */
export interface Sandbox {
  /**
   * Runs `command` with bash. Resolves when it has ended or `waitMs` after the call, whichever is first; then it goes
   * on as a process until `timeoutMs` has passed, when its whole process tree is killed. When `watch.signal` aborts, the
   * tree is killed and the call rejects with `ToolError("cancelled")`. A command that fails is a result.
   */
  exec(command: Command, watch: Watch): Promise<CommandResult>;

  /** Every process that is running or remembered, newest first. Does not wake a sandbox that is asleep. */
  listProcesses(): Promise<readonly ProcessInfo[]>;

  /**
   * What a process has written after the cursors, waiting at most `read.waitMs` for what is waited for, or for its
   * end. What it left in `/workspace/files` is in `files` then, unless output was wanted at once. Rejects with
   * `not_found` where the process is not remembered, with `invalid_input` where the pattern is no regular expression.
   * When `watch.signal` aborts, the call rejects with `cancelled` and the process goes on.
   */
  readProcess(processId: string, read: ProcessRead, watch: Watch): Promise<ProcessOutput>;

  /**
   * Writes to the standard input of a process that was started with `input: "open"` or `"terminal"`, and says where
   * its outputs were before. Rejects with `conflict` where it has ended or its input is closed.
   */
  writeInput(processId: string, input: ProcessInput): Promise<OutputPosition>;

  /**
   * Sends a signal to the process's group, SIGKILL to its whole tree, and says where its outputs were before. Rejects
   * with `conflict` where it has ended.
   */
  signalProcess(processId: string, signal: ProcessSignal): Promise<OutputPosition>;

  /** The first 64 MB of what a process has written to one of its outputs so far. */
  readOutput(processId: string, stream: "stdout" | "stderr"): Promise<StoredOutput>;

  /** Rejects with `not_found` where nothing is there, `invalid_input` for a folder, `too_large` over `maxBytes`. */
  readFile(path: string, maxBytes: number): Promise<Uint8Array>;

  /**
   * Writes the whole file or nothing; missing folders are made. Where `replaces` is given, the SHA-256 in hex of what
   * the file holds now, and it holds something else by then, nothing is written and the call rejects with `conflict`.
   */
  writeFile(path: string, bytes: Uint8Array, replaces?: string): Promise<void>;

  /**
   * Runs code in a context that keeps its state; the context is made on first use. Code that throws is a result;
   * a context that crashed or was killed says so in `error` and is fresh on the next run. After `timeoutMs` the
   * code is interrupted and the context keeps its state where the language allows it.
   */
  runCode(code: Code, watch: Watch): Promise<CodeResult>;

  /** The code contexts that hold state. Does not wake a sandbox that is asleep. */
  listContexts(): Promise<readonly CodeContextInfo[]>;

  /** How the sandbox is. Does not wake one that is asleep. */
  status(): Promise<SandboxStatus>;

  /** A port of its loopback. Throws `invalid_input` for one that the sandbox needs for itself. */
  port(port: number): SandboxPort;

  /**
   * Ends every process and context and empties `/workspace`, but for `/workspace/files`, which is the caller's
   * durable workspace. The next call finds a fresh sandbox.
   */
  reset(): Promise<void>;

  /**
   * Ends every process and context, and lets it sleep: nothing of `/workspace` is lost, and the next call finds it. Where
   * its disk would go with it and no snapshot can be made, it rejects with `unavailable`: then its commands have ended,
   * and it stays awake. One that is asleep stays so.
   */
  sleep(): Promise<void>;

  /**
   * Lets the sandbox `intoId`, the same person's by `sandboxId`, begin as a copy of this one's `/workspace`, without its
   * processes and contexts; what it was before is gone. Neither sees what changes in the other later. The copy is of
   * what is there when the call is made, or of the newest snapshot where this one has lost its disk. Copies are made
   * through snapshots, and what those leave out is not in them. Whatever breaks it, the other one is what it was before
   * or the whole copy. Rejects with `invalid_input` for a copy into itself, with `cancelled` or `conflict` where one of
   * the two was reset, discarded or replaced meanwhile, with `unavailable` where no snapshots can be made.
   */
  fork(intoId: string): Promise<void>;

  /**
   * Ends it and forgets it: processes and contexts, `/workspace` and its snapshots. `/workspace/files`, which is the
   * caller's durable workspace, stays. One that is used again is a fresh one. To discard it twice, or before it was
   * ever used, is no error.
   */
  discard(): Promise<void>;
}

/** Wakes nothing. Every method rejects with `unavailable` where this driver's sandboxes have no ports. */
export interface SandboxPort {
  look(): Promise<"listening" | "closed" | "asleep">;
  /**
   * Sends what listens there a request, of whose URL only path and query count, and answers with what it says as it
   * comes: bodies stream, and where the request asks for a WebSocket and gets it, the response has it. It all ends at
   * `untilMs`. While an answer comes the sandbox stays awake. When the request's signal aborts, so does it all.
   */
  fetch(request: Request, untilMs: number): Promise<PortAnswer>;
  /** Ends all that is under way through it. */
  close(): Promise<void>;
}

/** `closed`: nothing listens. `garbled`: what listens speaks no HTTP, or broke off. `busy`: too much is under way. */
export const UNHEARD_STATES = ["asleep", "closed", "garbled", "busy"] as const;

export type PortAnswer =
  | { readonly state: "answered"; readonly response: Response }
  | { readonly state: (typeof UNHEARD_STATES)[number] };

export interface Watch {
  readonly signal: AbortSignal;
  /** Called with output as it comes, at most a few times a second. */
  readonly onOutput?: (text: string) => void;
  /**
   * Called where the call has to wait for its sandbox to start, by a driver whose sandboxes take seconds to start, or to
   * be restored; again with how far that is. Never where it runs.
   */
  readonly onStarting?: (progress?: string) => void;
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
  /** Leaves no trace among the processes once its result is told: a tool's own look at the sandbox. */
  readonly isInternal?: boolean;
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

export interface StoredOutput {
  readonly body: ReadableStream<Uint8Array>;
  /** Exact length of `body`. */
  readonly sizeBytes: number;
}

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
  /** What it has cost so far, as the price table has it; 0 where nothing is billed. */
  readonly costUsd: number;
  /** Absent where it is not known without waking it. */
  readonly disk?: { readonly usedBytes: number; readonly limitBytes?: number };
  readonly memory?: { readonly usedBytes: number; readonly limitBytes?: number };
  /** All processes inside, those of contexts and daemons among them. */
  readonly processCount?: number;
  /** The newest snapshot of its workspace; absent where there is none yet. */
  readonly snapshot?: { readonly ageMs: number; readonly sizeBytes: number };
  /** Sentences: what this driver cannot do here. */
  readonly notes?: readonly string[];
}

export interface Code {
  readonly code: string;
  readonly language: CodeLanguage;
  /** Name of the context; state is kept per language and name, but TypeScript and JavaScript share theirs. */
  readonly context: string;
  /** Forgets the context's state first. */
  readonly isFresh?: boolean;
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

/** A call's signal, and its progress: output as it comes, and that a sandbox has to start first. */
export function watchOf(call: {
  readonly signal: AbortSignal;
  readonly reportProgress: (message: string) => void;
}): Watch {
  return {
    signal: call.signal,
    onOutput: call.reportProgress,
    onStarting: (progress) =>
      call.reportProgress(`The sandbox is starting${progress === undefined ? "" : `: ${progress}`}.`),
  };
}

/** The id of a caller's sandbox: lower case, as container names are, and the same person's only. */
export function sandboxId(userId: string, name: string): string {
  return `${userId}-${name.toLowerCase()}`;
}

/** Whose a sandbox of that id is: a `userId` has letters and digits alone. */
export function personOfSandbox(id: string): string {
  const [userId = id] = id.split("-");
  return userId;
}

/** What its person calls it. */
export function nameOfSandbox(id: string): string {
  return id.slice(personOfSandbox(id).length + 1);
}
