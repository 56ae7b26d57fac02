/** A command that goes on after its call, as drivers tell of it. */
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

/** How many bytes of each output come before a place in them. */
export interface OutputPosition {
  readonly stdout: number;
  readonly stderr: number;
}

export interface ProcessRead {
  /** What the reader has already; a place within a character stands for that character's beginning. */
  readonly after: OutputPosition;
  readonly waitMs: number;
  /**
   * What to wait for: text after the cursors that a regular expression matches, something that listens on a port of
   * the sandbox's localhost, the end of the process, or new output at once. Absent for new output, until it pauses for a
   * moment.
   */
  readonly until?: { readonly pattern: string } | { readonly port: number } | "end" | "output";
  /** How many characters of each output the answer carries, head and tail kept. */
  readonly maxChars: number;
}

export interface ProcessOutput extends ProcessInfo {
  /** What came after the cursor. `totalBytes` is of all that was ever written: the cursor for the next read. */
  readonly stdout: CapturedOutput;
  readonly stderr: CapturedOutput;
  /** Whether what was waited for is so. */
  readonly isReached: boolean;
  /** As in `CommandResult`. */
  readonly notes?: readonly string[];
}

export interface CapturedOutput {
  /** All of it, or head and tail with a line between them that says how much was left out. */
  readonly text: string;
  /** How much was written in all. */
  readonly totalBytes: number;
  readonly isCut: boolean;
}

export interface ProcessInput {
  readonly text: string;
  /** Closes standard input after `text`; in a terminal it is Ctrl-D. */
  readonly isEnd: boolean;
}

export const PROCESS_SIGNALS = ["SIGINT", "SIGTERM", "SIGKILL", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const;
export type ProcessSignal = (typeof PROCESS_SIGNALS)[number];
