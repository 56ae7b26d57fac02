import type { GrantSummary, OAuthAuthorizationServer, OAuthHelpers } from "@cloudflare/workers-oauth-provider";
import type { SessionStore } from "./account-session.ts";
import type { AuthEnv } from "./authorization-server.ts";
import type { Caller } from "./caller.ts";
import { GiverUnknown, giverNow, giverOfGrant } from "./giver.ts";
import { ROLES } from "../servers/shared/limits.ts";
import { type EndedGrants, grantsOf } from "./grants.ts";
import type { Identity } from "./identity.ts";
import { type Standing, isInside, standingInside } from "./inside.ts";
import type { LibraryEnv } from "./oauth-store.ts";
import { mayHave, scopesOfRole, withinRole } from "./policy.ts";
import type { Scope } from "./scopes.ts";
import { type ServiceTokens, isService } from "./service-tokens.ts";
import type { TokenStore } from "./tokens.ts";

interface GrantCheckOptions {
  readonly authorizationServer: OAuthAuthorizationServer<LibraryEnv>;
  readonly identity: Identity;
  readonly accounts: (userId: string) => TokenStore & EndedGrants & Pick<SessionStore, "listSessions">;
  readonly services: ServiceTokens | undefined;
  /** What no sandbox may do, whoever owns it. */
  readonly withheldInside: readonly Scope[];
  readonly now: () => Date;
}

/** What is still allowed to that which goes on without a request of its own. */
interface GrantCheck {
  /** What a caller's grant or personal token allows by now; `undefined` where it is gone. */
  scopesNow(caller: Caller, env: AuthEnv): Promise<readonly Scope[] | undefined>;
  /** Whether a person is still let in, with a role that has these scopes. */
  isLetIn(userId: string, scopes: readonly Scope[], env: AuthEnv): Promise<boolean>;
  /** What may be done from inside a sandbox of theirs; `undefined` where they are not let in, or to no sandbox. */
  insideNow(userId: string, env: AuthEnv): Promise<Standing | undefined>;
}

/** All reject with `unavailable` where nobody can say. */
export function createGrantCheck(options: GrantCheckOptions): GrantCheck {
  const { authorizationServer } = options;
  const insideNow = async (userId: string, env: AuthEnv): Promise<Standing | undefined> => {
    const service = await options.services?.standingOf(userId);
    const owner = service ?? (await standingOf(userId, authorizationServer.getOAuthApi(env), options));
    return standingInside(owner, options.withheldInside);
  };
  return {
    insideNow,
    scopesNow: async (caller, env) => {
      if (isInside(caller.clientId)) return (await insideNow(caller.userId, env))?.scopes;
      if (isService(caller.clientId)) return options.services?.scopesNow(caller.clientId);
      const granted = caller.clientId.startsWith("token:")
        ? await scopesOfToken(caller, options)
        : await scopesOfGrants(caller, authorizationServer.getOAuthApi(env), options);
      return granted && withinRole(granted, caller.role);
    },
    isLetIn: async (userId, scopes, env) => {
      if (await options.services?.mayHave(userId, scopes)) return true;
      const oauth = authorizationServer.getOAuthApi(env);
      return await isVouchedFor(userId, scopes, oauth, options);
    },
  };
}

async function scopesOfToken(
  { userId, clientId }: Caller,
  { accounts, identity, now }: GrantCheckOptions,
): Promise<readonly string[] | undefined> {
  const token = await accounts(userId).findTokenById(clientId.slice("token:".length));
  if (token === undefined || token.expiresAtMs <= now().getTime()) return undefined;
  const maker = await giverNow(identity, { userId, owner: token.owner });
  if (maker.kind === "unknown") throw new GiverUnknown();
  return maker.kind === "out" ? undefined : withinRole(token.scopes, maker.role);
}

/** A client has a grant for each endpoint that it signed in at: any of them will do. */
async function scopesOfGrants(
  { userId, clientId, role: roleThen }: Caller,
  oauth: OAuthHelpers,
  options: GrantCheckOptions,
): Promise<readonly string[] | undefined> {
  const scopes: string[] = [];
  let isGranted = false;
  for await (const grant of grantsOf(userId, oauth, options)) {
    if (grant.clientId !== clientId) continue;
    const role = await roleBehind(grant, roleThen, oauth, options);
    if (role === "unknown") throw new GiverUnknown();
    if (role === undefined) continue;
    isGranted = true;
    scopes.push(...withinRole(grant.scope, role));
  }
  return isGranted ? scopes : undefined;
}

/** Any sign-in of the person vouches for them, whichever client, personal token or page it was for. */
async function isVouchedFor(
  userId: string,
  scopes: readonly Scope[],
  oauth: OAuthHelpers,
  options: GrantCheckOptions,
): Promise<boolean> {
  let isUnknown = false;
  for await (const role of rolesOf(userId, oauth, options)) {
    if (role === "unknown") isUnknown = true;
    else if (mayHave(role, scopes)) return true;
  }
  if (isUnknown) throw new GiverUnknown();
  return false;
}

/** By the highest role that a sign-in of the person still vouches for. */
async function standingOf(
  userId: string,
  oauth: OAuthHelpers,
  options: GrantCheckOptions,
): Promise<Standing | undefined> {
  const roles = new Set(await Array.fromAsync(rolesOf(userId, oauth, options)));
  const role = ROLES.find((each) => roles.has(each));
  if (role === undefined && roles.has("unknown")) throw new GiverUnknown();
  return role && { role, scopes: scopesOfRole(role) };
}

/** The role that each sign-in of the person gives them by now; none for those that have ended. */
async function* rolesOf(
  userId: string,
  oauth: OAuthHelpers,
  options: GrantCheckOptions,
): AsyncGenerator<Caller["role"] | "unknown"> {
  const { identity } = options;
  if (identity.roleForGood !== undefined) {
    yield identity.roleForGood;
    return;
  }
  for await (const grant of grantsOf(userId, oauth, options)) {
    const role = await roleBehind(grant, undefined, oauth, options);
    if (role !== undefined) yield role;
  }
  const account = options.accounts(userId);
  for (const { owner, expiresAtMs } of [...(await account.listTokens()), ...(await account.listSessions())]) {
    if (expiresAtMs <= options.now().getTime()) continue;
    const maker = await giverNow(identity, { userId, owner });
    if (maker.kind === "unknown") yield "unknown";
    else if (maker.kind === "in") yield maker.role;
  }
}

/** The role that whoever gave the grant has now, `roleThen` where it does not tell. Revoked where its giver is out. */
async function roleBehind(
  { id, userId, metadata }: GrantSummary,
  roleThen: Caller["role"] | undefined,
  oauth: OAuthHelpers,
  { identity }: GrantCheckOptions,
): Promise<Caller["role"] | "unknown" | undefined> {
  const giver = await giverOfGrant(identity, userId, metadata);
  switch (giver?.kind) {
    case undefined:
      return roleThen;
    case "in":
      return giver.role;
    case "unknown":
      return "unknown";
    case "out":
      await oauth.revokeGrant(id, userId);
      return undefined;
  }
}
