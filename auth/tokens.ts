import type { GrantOwner, Person } from "./identity.ts";
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
  /** Who made it, as sign-in knew them then: their role is decided anew with each use. */
  readonly owner: GrantOwner;
  readonly lastUsedAtMs?: number;
}

export interface TokenStore {
  addToken(token: StoredToken): Promise<void>;
  findToken(hash: string): Promise<StoredToken | undefined>;
  findTokenById(id: string): Promise<StoredToken | undefined>;
  listTokens(): Promise<StoredToken[]>;
  noteTokenUse(id: string, nowMs: number): Promise<void>;
  removeToken(id: string): Promise<boolean>;
}

/** What a person decides about a token. */
export interface TokenOrder {
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly expiresInSeconds: number;
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
  create(maker: Maker, order: TokenOrder): Promise<{ readonly token: string; readonly stored: StoredToken }>;
  /** The token, where it is genuine and known; whether it has expired is for the caller to say. */
  find(token: string): Promise<PersonalToken | undefined>;
  noteUse(token: PersonalToken): Promise<void>;
}

type Maker = Pick<Person, "userId" | "owner">;

const TOKEN_FORM = /^(pincer_([0-9a-z]{32})_[0-9a-f]{64})_([0-9a-f]{32})$/;

/** What a caller with that token has in the place of an OAuth client. */
export function clientIdOfToken(id: string): string {
  return `token:${id}`;
}

export function isPersonalToken(token: string): boolean {
  return token.startsWith("pincer_");
}

export function createPersonalTokens(
  signer: Signer,
  storeOf: (userId: string) => TokenStore,
  now: () => Date,
): PersonalTokens {
  return {
    create: async ({ userId, owner }, { name, scopes, expiresInSeconds }) => {
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
        owner,
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
    noteUse: async ({ userId, stored }) => await storeOf(userId).noteTokenUse(stored.id, now().getTime()),
  };
}
