/** What drivers say of a command that goes on after its call: a process. */
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
