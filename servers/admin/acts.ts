import type { Limits, Role } from "../shared/limits.ts";
import type { Preset } from "./presets.ts";

/**
 * What pages do to what one person has going. Whoever calls has made sure that it is the person, or an admin, and writes
 * it down. Each rejects with a `ToolError` that says why it was not done.
 */
export interface Acts {
  snapshot(sandbox: string): Promise<void>;
  /** Ends all that runs in it; nothing of `/workspace` is lost, and it is there again at once. */
  restart(sandbox: string): Promise<void>;
  /** The same, and it stays away until the next call. */
  sleep(sandbox: string): Promise<void>;
  /** Ends and empties it, with its snapshots, but for the person's files. */
  reset(sandbox: string): Promise<void>;
  killProcess(sandbox: string, processId: string): Promise<void>;
  /** From then on nobody gets in by that preview, and who is in is out. */
  withdraw(sandbox: string, port: number): Promise<void>;
  /** Begins to install and start it, and does not wait for that. */
  startPreset(sandbox: string, preset: Preset): Promise<void>;
  stopPreset(sandbox: string, preset: Preset): Promise<void>;
  closeBrowser(name: string): Promise<void>;
  cancelRun(runId: string): Promise<void>;
}

/** What an admin decides. Whoever calls has made sure of the role, and writes it down. No tool reaches any of it. */
export interface Rules {
  /** Nothing that the person calls is let in within seconds, and what they have going is ended. */
  pausePerson(userId: string, reason: string): Promise<void>;
  resumePerson(userId: string): Promise<void>;
  /** Puts these in the place of the person's own limits; what is absent is as their role has it. */
  setPersonLimits(userId: string, own: Limits): Promise<void>;
  pauseAll(reason: string): Promise<void>;
  resumeAll(): Promise<void>;
  /** Puts these in the place of the role's limits; without any, those of the settings hold again. */
  setRoleLimits(role: Role, limits: Limits | undefined): Promise<void>;
}
