import { DurableObject } from "cloudflare:workers";
import type { StoredSession } from "../../auth/account-session.ts";
import type { Scope } from "../../auth/scopes.ts";
import type { StoredToken } from "../../auth/tokens.ts";
import { ConsentTable, type RememberedConsent } from "./consent-table.ts";
import { type RefreshOutcome, type RefreshTurn, RefreshTurns, type RefreshUse } from "./refresh-turns.ts";
import { type Attempt, SignInTable } from "./sign-in-table.ts";
import { TokenTable } from "./token-table.ts";

/** The half of a person's account that sign-in asks: tokens, sessions, what was consented to, what has ended. */
export class SignInAccount<Env> extends DurableObject<Env> {
  readonly #tokens: TokenTable;
  readonly #signIn: SignInTable;
  readonly #consents: ConsentTable;
  readonly #refreshTurns: RefreshTurns;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    const { sql } = state.storage;
    this.#tokens = new TokenTable(sql);
    this.#signIn = new SignInTable(sql);
    this.#consents = new ConsentTable(sql);
    this.#refreshTurns = new RefreshTurns(sql);
  }

  addToken(token: StoredToken): void {
    this.#tokens.add(token);
  }

  findToken(hash: string): StoredToken | undefined {
    return this.#tokens.find(hash);
  }

  findTokenById(id: string): StoredToken | undefined {
    return this.#tokens.findById(id);
  }

  listTokens(): StoredToken[] {
    return this.#tokens.list();
  }

  noteTokenUse(id: string, nowMs: number): void {
    this.#tokens.noteUse(id, nowMs);
  }

  removeToken(id: string): boolean {
    return this.#tokens.remove(id);
  }

  takeAttempt(attempt: Attempt): { isAllowed: boolean; retryAtMs: number } {
    return this.#signIn.takeAttempt(attempt);
  }

  clearAttempts(name: string): void {
    this.#signIn.clearAttempts(name);
  }

  rememberConsent(consent: RememberedConsent): void {
    this.#consents.remember(consent);
  }

  scopesLeftOut(clientId: string, resource: string): Scope[] {
    return this.#consents.leftOut(clientId, resource);
  }

  async takeRefresh(use: RefreshUse): Promise<RefreshTurn> {
    return await this.#refreshTurns.take(use);
  }

  finishRefresh(outcome: RefreshOutcome): void {
    this.#refreshTurns.finish(outcome);
  }

  giveUpRefresh(hash: string): void {
    this.#refreshTurns.giveUp(hash);
  }

  /** No refresh token of the grant works any more, whatever KV still shows of it. */
  endGrant(grantId: string, nowMs: number): void {
    this.#refreshTurns.endGrant(grantId, nowMs);
  }

  endedAmong(grantIds: readonly string[]): string[] {
    return this.#refreshTurns.endedAmong(grantIds);
  }

  addSession(session: StoredSession, nowMs: number): void {
    this.#signIn.addSession(session, nowMs);
  }

  findSession(hash: string): StoredSession | undefined {
    return this.#signIn.findSession(hash);
  }

  listSessions(): StoredSession[] {
    return this.#signIn.listSessions();
  }

  /** The one with that hash, or all; returns those that there were. */
  endSessions(hash?: string): StoredSession[] {
    return this.#signIn.endSessions(hash);
  }

  usesUpstream(session: string, nowMs: number): boolean {
    return this.#signIn.usesUpstream(session, nowMs) || this.#tokens.usesUpstream(session, nowMs);
  }
}
