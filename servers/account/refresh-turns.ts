const SCHEMA = `
  CREATE TABLE IF NOT EXISTS spent_refresh_tokens (
    hash TEXT PRIMARY KEY, expires_at_ms INTEGER NOT NULL
  ) WITHOUT ROWID;
`;

/** What a Worker that was cut off in between leaves undone, another may do after so long. */
const MAX_TURN_MS = 15_000;

/** One use of a refresh token; tokens and requests are known by their hashes alone. */
export interface RefreshUse {
  readonly hash: string;
  /** Of all that the request says: only the very same request may share an answer. */
  readonly requestHash: string;
}

export type RefreshTurn =
  /** Nobody has used the token: the caller asks the OAuth library, and says what came of it. */
  | { readonly kind: "first" }
  /** The same request was being answered just then: clients whose calls all meet an expired token ask at once. */
  | { readonly kind: "shared"; readonly answer: string }
  | { readonly kind: "spent" };

interface UnderWay {
  readonly requestHash: string;
  /** `undefined` where the token was not spent after all. */
  readonly answer: Promise<string | undefined>;
  end(answer: string | undefined): void;
}

/** Lets each refresh token of a person be used once, however many requests bring it along. */
export class RefreshTurns {
  readonly #sql: SqlStorage;
  readonly #underWay = new Map<string, UnderWay>();

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(SCHEMA);
  }

  async take({ hash, requestHash }: RefreshUse): Promise<RefreshTurn> {
    const other = this.#underWay.get(hash);
    if (other !== undefined) {
      const answer = await other.answer;
      if (answer !== undefined && other.requestHash === requestHash) return { kind: "shared", answer };
      return await this.take({ hash, requestHash });
    }
    if (this.#isSpent(hash)) return { kind: "spent" };
    this.#begin(hash, requestHash);
    return { kind: "first" };
  }

  /** The token was exchanged: it is spent, and who waits gets the same answer, which is not kept. */
  finish(hash: string, answer: string, times: { readonly nowMs: number; readonly expiresAtMs: number }): void {
    this.#sql.exec("DELETE FROM spent_refresh_tokens WHERE expires_at_ms <= ?", times.nowMs);
    this.#sql.exec("INSERT OR REPLACE INTO spent_refresh_tokens VALUES (?, ?)", hash, times.expiresAtMs);
    this.#underWay.get(hash)?.end(answer);
  }

  giveUp(hash: string): void {
    this.#underWay.get(hash)?.end(undefined);
  }

  #isSpent(hash: string): boolean {
    return this.#sql.exec("SELECT 1 FROM spent_refresh_tokens WHERE hash = ?", hash).toArray().length > 0;
  }

  #begin(hash: string, requestHash: string): void {
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    const timer = setTimeout(() => this.giveUp(hash), MAX_TURN_MS);
    const end = (answer: string | undefined): void => {
      clearTimeout(timer);
      this.#underWay.delete(hash);
      resolve(answer);
    };
    this.#underWay.set(hash, { requestHash, answer: promise, end });
  }
}
