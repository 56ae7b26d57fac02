import type { Limits, Role } from "../shared/limits.ts";

/** What is done from a page to what one person has going. Each rejects with a `ToolError`, and is in their books. */
export interface Acts {
  snapshotSandbox(name: string): Promise<void>;
  /** Ends all in it; nothing of `/workspace` is lost. */
  sleepSandbox(name: string): Promise<void>;
  /** The same, and starts it anew. */
  restartSandbox(name: string): Promise<void>;
  /** Ends all in it and empties it, but for the person's files. */
  resetSandbox(name: string): Promise<void>;
  killProcess(sandbox: string, processId: string): Promise<void>;
  closeBrowser(name: string): Promise<void>;
  cancelRun(runId: string): Promise<void>;
}

/** What only an admin does to one person. */
export interface PersonActs {
  /** Nothing that they call is let in within seconds, and what they have going is ended. */
  pausePerson(reason: string): Promise<void>;
  resumePerson(): Promise<void>;
  /** Puts these in the place of the person's own limits; what is absent is as their role has it. */
  setPersonLimits(own: Limits): Promise<void>;
}

/** What only an admin does to everybody; it is in the admin's own books. */
export interface DeploymentActs {
  pauseAll(reason: string): Promise<void>;
  resumeAll(): Promise<void>;
  /** Without limits, those of the settings hold again. */
  setRoleLimits(role: Role, limits: Limits | undefined): Promise<void>;
}
