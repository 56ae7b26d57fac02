import * as z from "zod";
import type { Caller } from "./caller.ts";
import { endIfUnused } from "./endings.ts";
import { GiverUnknown, giverNow } from "./giver.ts";
import type { GrantOwner, Identity, Person } from "./identity.ts";
import { createSigner, isSameSecret, randomHex, sha256Hex } from "./secrets.ts";

/** The pages that a person signs in to themselves: one of two roots, or what is below it. No `//` leads elsewhere. */
export const accountPath = z.string().regex(/^\/(account|admin)(\/[\w-]+)*$/);

export function isAccountPath(pathname: string): boolean {
  return /^\/(account|admin)(\/|$)/.test(pathname);
}
/** Where a person who has signed in goes: a page of their own, or a preview that sent them. */
export const signInTarget = z.union([
  accountPath,
  z.string().regex(/^\/account\/terminal\?sandbox=[\w-]{1,40}$/),
  z.string().regex(/^\/account\/preview\?label=[0-9a-z-]{1,63}&to=[\w.!~*'()%-]{0,6000}$/),
]);
export type SignInTarget = z.output<typeof signInTarget>;

const SESSION_SECONDS = 15 * 60;
/** How old Access's word on a person may be. */
const MAX_AGE_MS = 60_000;

const COOKIE = "__Host-pincer-account";
// Lax: the way back from Access comes from another site.
const COOKIE_RULES = "Path=/; Secure; HttpOnly; SameSite=Lax";
/** `<userId>_<256 random bits>_<MAC>`. */
const VALUE_FORM = /^(([0-9a-z]{32})_[0-9a-f]{64})_([0-9a-f]{32})$/;

/** What the person's Durable Object keeps of a session. */
export interface StoredSession {
  /** SHA-256 of the cookie, hex; the cookie itself is never stored. */
  readonly hash: string;
  readonly displayName: string;
  readonly owner: GrantOwner;
  readonly expiresAtMs: number;
}

export interface SessionStore {
  addSession(session: StoredSession, nowMs: number): Promise<void>;
  findSession(hash: string): Promise<StoredSession | undefined>;
  listSessions(): Promise<StoredSession[]>;
  endSessions(hash?: string): Promise<StoredSession[]>;
  usesUpstream(session: string, nowMs: number): Promise<boolean>;
}

/** A person at their own pages, with the role that they have now. */
export interface Visitor {
  readonly person: Person;
  readonly role: Caller["role"];
  readonly expiresAtMs: number;
  /** Every form of theirs carries it, and no other page can know it. */
  readonly formKey: string;
}

/** Sessions of a quarter of an hour, for the pages alone: no endpoint takes them. */
export interface AccountSessions {
  /** Returns the cookie to set. */
  begin(person: Person): Promise<string>;
  /** Whose session the request comes from, if they are still let in. Rejects with `unavailable` where nobody can say. */
  find(request: Request): Promise<Visitor | undefined>;
  /** Returns the cookie to set. */
  end(request: Request): Promise<string>;
}

interface SessionOptions {
  readonly signingSecret: string;
  readonly accounts: (userId: string) => SessionStore;
  readonly identity: Identity;
  readonly now: () => Date;
}

export function createAccountSessions(options: SessionOptions): AccountSessions {
  const { signingSecret, accounts, identity, now } = options;
  const signer = createSigner(signingSecret, "account-session");
  const forms = createSigner(signingSecret, "account-form");
  /** A forged cookie wakes nobody's Durable Object. */
  const genuine = async (request: Request): Promise<{ value: string; userId: string } | undefined> => {
    const [value, unsigned, userId, mac] = VALUE_FORM.exec(readCookie(request)) ?? [];
    if (value === undefined || unsigned === undefined || userId === undefined || mac === undefined) return undefined;
    return (await isSameSecret(mac, await signer.sign(unsigned))) ? { value, userId } : undefined;
  };
  return {
    begin: async ({ userId, displayName, owner }) => {
      const unsigned = `${userId}_${randomHex(32)}`;
      const value = `${unsigned}_${await signer.sign(unsigned)}`;
      const nowMs = now().getTime();
      const expiresAtMs = nowMs + SESSION_SECONDS * 1_000;
      await accounts(userId).addSession({ hash: await sha256Hex(value), displayName, owner, expiresAtMs }, nowMs);
      return `${COOKIE}=${value}; Max-Age=${SESSION_SECONDS}; ${COOKIE_RULES}`;
    },
    find: async (request) => {
      const cookie = await genuine(request);
      if (cookie === undefined) return undefined;
      const { value, userId } = cookie;
      const stored = await accounts(userId).findSession(await sha256Hex(value));
      if (stored === undefined || stored.expiresAtMs <= now().getTime()) return undefined;
      const { displayName, owner, expiresAtMs } = stored;
      const present = await stillThere(request, { userId, displayName, owner }, identity);
      return present && { ...present, expiresAtMs, formKey: await forms.sign(value) };
    },
    end: async (request) => {
      const cookie = await genuine(request);
      if (cookie !== undefined) await endSession(cookie.userId, await sha256Hex(cookie.value), options);
      return `${COOKIE}=; Max-Age=0; ${COOKIE_RULES}`;
    },
  };
}

async function endSession(userId: string, hash: string, options: SessionOptions): Promise<void> {
  for (const { owner } of await options.accounts(userId).endSessions(hash)) await endIfUnused(userId, owner, options);
}

function readCookie(request: Request): string {
  const cookies = (request.headers.get("Cookie") ?? "").split(";").map((cookie) => cookie.trim());
  return cookies.find((cookie) => cookie.startsWith(`${COOKIE}=`))?.slice(COOKIE.length + 1) ?? "";
}

/** Where the identity comes with each request it must be the session's own; elsewhere the provider is asked. */
async function stillThere(
  request: Request,
  person: Person,
  identity: Identity,
): Promise<Pick<Visitor, "person" | "role"> | undefined> {
  const identified = await identity.identify(request);
  if (identified.kind === "refused") return undefined;
  if (identified.kind === "person" && identified.person.userId !== person.userId) return undefined;
  const present = identified.kind === "person" ? identified.person : person;
  const giver = await giverNow(identity, present, MAX_AGE_MS);
  if (giver.kind === "unknown") throw new GiverUnknown();
  return giver.kind === "out" ? undefined : { person: { ...present, owner: giver.owner }, role: giver.role };
}
