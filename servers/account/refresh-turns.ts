const SCHEMA = `
  CREATE TABLE IF NOT EXISTS ended (
    name TEXT PRIMARY KEY, forget_at_ms INTEGER NOT NULL
  ) WITHOUT ROWID;
`;

/** Longer than any grant lives unused. */
const REMEMBERED_MS = 31 * 24 * 60 * 60 * 1000;

/** What a Worker that was cut off in between leaves undone, another may do after so long. */
const MAX_TURN_MS = 15_000;

/**
 * How long the same request is given the same answer. Calls that all meet an expired token make the SDK's clients
 * refresh once for each, some only after the first has been answered; nobody gets a token by it that another has not.
 */
const SHARED_MS = 5_000;

/** One use of a refresh token; tokens and requests are known by their hashes alone. */
export interface RefreshUse {
  readonly grantId: string;
  readonly hash: string;
  /** Of all that the request says: only the very same request may share an answer. */
  readonly requestHash: string;
  readonly nowMs: number;
}

export type RefreshTurn =
  /** Nobody has used the token: the caller asks the OAuth library, and says what came of it. */
  { readonly kind: "first" } | { readonly kind: "shared"; readonly answer: string } | { readonly kind: "spent" };

/** What came of a use. */
export interface RefreshOutcome {
  readonly grantId: string;
  readonly hash: string;
  readonly answer: string;
  readonly nowMs: number;
}

interface Turn {
  readonly grantId: string;
  readonly requestHash: string;
  /** `undefined` where the token was not spent after all. */
  readonly answer: Promise<string | undefined>;
  sharedUntilMs: number;
  end(answer: string | undefined): void;
}

/**
 * Lets each refresh token of a person be used once, however many requests bring it along, and none of a grant that has
 * ended: KV, where the grants are, may show elsewhere for a minute what has been deleted from it.
 */
export class RefreshTurns {
  readonly #sql: SqlStorage;
  /** By the token's hash. Answers are in memory alone, and for seconds. */
  readonly #turns = new Map<string, Turn>();

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(SCHEMA);
  }

  async take(use: RefreshUse): Promise<RefreshTurn> {
    const other = this.#turns.get(use.hash);
    if (other !== undefined) {
      const answer = await other.answer;
      if (answer === undefined) return await this.take(use);
      const isShared = other.requestHash === use.requestHash && use.nowMs < other.sharedUntilMs;
      if (isShared) return { kind: "shared", answer };
    }
    if (this.#hasEnded(`token:${use.hash}`)) this.endGrant(use.grantId, use.nowMs);
    if (this.#hasEnded(`grant:${use.grantId}`)) return { kind: "spent" };
    this.#begin(use);
    return { kind: "first" };
  }

  endGrant(grantId: string, nowMs: number): void {
    this.#end(`grant:${grantId}`, nowMs);
  }

  endedAmong(grantIds: readonly string[]): string[] {
    return grantIds.filter((id) => this.#hasEnded(`grant:${id}`));
  }

  /** The token was exchanged, so it is spent, and so is the answer to the one before it. */
  finish({ grantId, hash, answer, nowMs }: RefreshOutcome): void {
    this.#end(`token:${hash}`, nowMs);
    for (const [other, turn] of this.#turns) {
      if (turn.grantId === grantId && other !== hash) this.#turns.delete(other);
    }
    const turn = this.#turns.get(hash);
    if (turn === undefined) return;
    turn.sharedUntilMs = nowMs + SHARED_MS;
    turn.end(answer);
    setTimeout(() => this.#turns.delete(hash), SHARED_MS);
  }

  giveUp(hash: string): void {
    const turn = this.#turns.get(hash);
    this.#turns.delete(hash);
    turn?.end(undefined);
  }

  #end(name: string, nowMs: number): void {
    this.#sql.exec("DELETE FROM ended WHERE forget_at_ms <= ?", nowMs);
    this.#sql.exec("INSERT OR REPLACE INTO ended VALUES (?, ?)", name, nowMs + REMEMBERED_MS);
  }

  #hasEnded(name: string): boolean {
    return this.#sql.exec("SELECT 1 FROM ended WHERE name = ?", name).toArray().length > 0;
  }

  #begin({ grantId, hash, requestHash }: RefreshUse): void {
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    const timer = setTimeout(() => this.giveUp(hash), MAX_TURN_MS);
    const end = (answer: string | undefined): void => {
      clearTimeout(timer);
      resolve(answer);
    };
    this.#turns.set(hash, { grantId, requestHash, answer: promise, sharedUntilMs: Infinity, end });
  }
}
