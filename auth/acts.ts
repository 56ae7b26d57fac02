/** Something that was done by hand with what acts for a person; it leaves a row in their audit. */
export interface Act {
  readonly name: "account/revoke" | "account/token" | "admin/revoke";
  /** The person themselves at their page or with their launcher, or an admin. */
  readonly by: "page" | "launcher" | `admin:${string}`;
  /** What it was done with: ids and scopes, never a secret. The audit keeps a digest. */
  readonly what: Readonly<Record<string, string>>;
  readonly atMs: number;
}

/** The person's Durable Object. */
export interface ActStore {
  recordAct(userId: string, act: Act): Promise<void>;
}
