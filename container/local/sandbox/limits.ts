import { totalmem } from "node:os";

/** What one sandbox may use, all its processes together unless said otherwise. */
export interface Limits {
  readonly memoryBytes: number;
  /** Threads count too. */
  readonly maxProcesses: number;
  /** One file. */
  readonly fileBytes: number;
  /** `/tmp` and `/dev/shm`, each; they lie in memory. */
  readonly tmpBytes: number;
  /** The workspace and the mounted files. */
  readonly diskBytes: number;
  readonly diskFiles: number;
  /** What one process's outputs keep for `readOutput`, each. */
  readonly spoolBytes: number;
  /** What all outputs of a sandbox keep. */
  readonly totalSpoolBytes: number;
  /** How many of the caller's files are mounted, and how large each may be. */
  readonly mountedFiles: number;
  readonly mountedFileBytes: number;
}

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

export function defaultLimits(): Limits {
  return {
    memoryBytes: Math.min(4 * GIB, Math.floor(totalmem() / 2)),
    maxProcesses: 1_024,
    fileBytes: 2 * GIB,
    tmpBytes: 512 * MIB,
    diskBytes: 8 * GIB,
    diskFiles: 1_000_000,
    spoolBytes: 64 * MIB,
    totalSpoolBytes: 1 * GIB,
    mountedFiles: 10_000,
    mountedFileBytes: 100 * MIB,
  };
}
