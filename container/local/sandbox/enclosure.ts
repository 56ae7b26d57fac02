import { stat } from "node:fs/promises";
import type { AgentLink } from "./agent-link.ts";
import type { SnapshotSocket } from "./snapshot-socket.ts";
import type { LocalStatus } from "./status.ts";

/** What one sandbox lies in: how its agent is started, and what is kept from one start to the next. */
export interface Enclosure {
  /** Why there is only a simulated shell, in a sentence; absent where the sandbox is a real one. */
  readonly simulatedBecause?: string;
  /** Whether anything is kept in it. */
  isUsed(): Promise<boolean>;
  /** The same for as long as `/workspace` is on the disk that it is on now; nothing where it has none yet. */
  diskIdentity(): Promise<string | undefined>;
  /** Makes its folders. Answers what is the same for as long as the caller's files in it are what they were. */
  prepare(): Promise<string>;
  /** Starts its agent, and sees to what the sandbox may use. Rejects when the agent does not come up. */
  start(): Promise<Agent>;
  status(running: RunningAgent | "asleep" | "starting"): Promise<LocalStatus>;
}

export interface Agent {
  readonly link: AgentLink;
  /** Absent where there are no snapshots of it. */
  readonly snapshotSocket?: SnapshotSocket;
  /** Of everything in the sandbox, since it was started. */
  readonly outOfMemoryKills: () => number;
  /** Resolves when everything in it is gone, and so is what limited it. */
  readonly gone: Promise<void>;
}

export interface RunningAgent {
  readonly link: AgentLink;
  readonly startedMs: number;
  /** Commands that run now. */
  readonly commandCount: number;
}

/** Numbers of folders are used again, so that the time of birth belongs to it. */
export async function identityOf(path: string): Promise<string> {
  const { ino, birthtimeNs } = await stat(path, { bigint: true });
  return `${ino}:${birthtimeNs}`;
}
