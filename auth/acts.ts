/** Something that was done with what acts for a person, past the pages; it leaves a row in their audit. */
export interface Act {
  readonly name: "account/token";
  readonly by: "launcher";
  /** What it was done with: ids and scopes, never a secret. The audit keeps a digest. */
  readonly what: Readonly<Record<string, string>>;
  readonly atMs: number;
}

/** The person's Durable Object. */
export interface ActStore {
  recordAct(userId: string, act: Act): Promise<void>;
}
