import { type Scope, withImplied } from "./scopes.ts";
import { type Signer, isSameSecret, randomHex, sha256Hex } from "./secrets.ts";

/** What the person's Durable Object keeps of a personal access token. */
export interface StoredToken {
  readonly id: string;
  /** SHA-256 of the token, hex; the token itself is never stored. */
  readonly hash: string;
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
}

export interface TokenStore {
  addToken(token: StoredToken): Promise<void>;
  findToken(hash: string): Promise<StoredToken | undefined>;
  findTokenById(id: string): Promise<StoredToken | undefined>;
}

interface PersonalToken {
  readonly userId: string;
  readonly stored: StoredToken;
}

/**
 * Personal access tokens: `pincer_<userId>_<256 random bits>_<MAC>`, all lowercase hex. The MAC lets a forged token
 * be refused without waking anyone's Durable Object; the stored hash decides.
 */
export interface PersonalTokens {
  create(
    userId: string,
    token: { readonly name: string; readonly scopes: readonly Scope[]; readonly expiresInSeconds: number },
  ): Promise<{ readonly token: string; readonly stored: StoredToken }>;
  /** The token, where it is genuine and known; whether it has expired is for the caller to say. */
  find(token: string): Promise<PersonalToken | undefined>;
}

const TOKEN_FORM = /^(pincer_([0-9a-z]{32})_[0-9a-f]{64})_([0-9a-f]{32})$/;

export function isPersonalToken(token: string): boolean {
  return token.startsWith("pincer_");
}

export function createPersonalTokens(
  signer: Signer,
  storeOf: (userId: string) => TokenStore,
  now: () => Date,
): PersonalTokens {
  return {
    create: async (userId, { name, scopes, expiresInSeconds }) => {
      const unsigned = `pincer_${userId}_${randomHex(32)}`;
      const token = `${unsigned}_${await signer.sign(unsigned)}`;
      const createdAtMs = now().getTime();
      const stored: StoredToken = {
        id: randomHex(8),
        hash: await sha256Hex(token),
        name,
        scopes: withImplied(scopes),
        createdAtMs,
        expiresAtMs: createdAtMs + expiresInSeconds * 1000,
      };
      await storeOf(userId).addToken(stored);
      return { token, stored };
    },
    find: async (token) => {
      const [, unsigned, userId, mac] = TOKEN_FORM.exec(token) ?? [];
      if (unsigned === undefined || userId === undefined || mac === undefined) return undefined;
      if (!(await isSameSecret(mac, await signer.sign(unsigned)))) return undefined;
      const stored = await storeOf(userId).findToken(await sha256Hex(token));
      return stored && { userId, stored };
    },
  };
}
