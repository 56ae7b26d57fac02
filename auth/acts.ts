/** What a person or an admin does by hand, past all tools; it leaves a row in the audit of whom it is done to. */
export interface Act {
  readonly name: `account/${string}` | `admin/${string}`;
  /** The person themselves at their pages or with their launcher, or an admin. */
  readonly by: "page" | "launcher" | `admin:${string}`;
  /** What it was done with, never a secret. The audit keeps a digest. */
  readonly what: object;
  readonly atMs: number;
  /** `ok` where absent, or the code of the error that came of it. */
  readonly outcome?: string;
  readonly durationMs?: number;
}

/** The person's Durable Object. */
export interface ActStore {
  recordAct(userId: string, act: Act): Promise<void>;
}
