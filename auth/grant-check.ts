import type { OAuthAuthorizationServer } from "@cloudflare/workers-oauth-provider";
import type { AuthEnv } from "./authorization-server.ts";
import type { Caller } from "./caller.ts";
import type { Identity } from "./identity.ts";
import type { LibraryEnv } from "./oauth-store.ts";
import { withinRole } from "./policy.ts";
import type { Scope } from "./scopes.ts";
import type { TokenStore } from "./tokens.ts";

interface GrantCheckOptions {
  readonly authorizationServer: OAuthAuthorizationServer<LibraryEnv>;
  readonly identity: Identity;
  readonly accounts: (userId: string) => TokenStore;
  readonly now: () => Date;
}

/** Looks up what a caller's grant or personal token allows by now; `undefined` where it is gone. */
export function createGrantCheck(
  options: GrantCheckOptions,
): (caller: Caller, env: AuthEnv) => Promise<readonly Scope[] | undefined> {
  return async (caller, env) => {
    const granted = caller.clientId.startsWith("token:")
      ? await scopesOfToken(caller, options)
      : await scopesOfGrants(caller, env, options);
    return granted && withinRole(granted, caller.role);
  };
}

async function scopesOfToken(
  { userId, clientId }: Caller,
  { accounts, identity, now }: GrantCheckOptions,
): Promise<readonly string[] | undefined> {
  if (identity.roleOf({ identity: "local" }) === undefined) return undefined;
  const token = await accounts(userId).findTokenById(clientId.slice("token:".length));
  return token === undefined || token.expiresAtMs <= now().getTime() ? undefined : token.scopes;
}

/** A client has a grant for each endpoint that it signed in at: any of them will do. */
async function scopesOfGrants(
  { userId, clientId }: Caller,
  env: AuthEnv,
  { authorizationServer, now }: GrantCheckOptions,
): Promise<readonly string[] | undefined> {
  const oauth = authorizationServer.getOAuthApi(env);
  const nowSeconds = now().getTime() / 1_000;
  const scopes: string[] = [];
  let isGranted = false;
  let cursor: string | undefined;
  do {
    const page = await oauth.listUserGrants(userId, cursor === undefined ? {} : { cursor });
    for (const grant of page.items) {
      if (grant.clientId !== clientId || (grant.expiresAt ?? Infinity) <= nowSeconds) continue;
      isGranted = true;
      scopes.push(...grant.scope);
    }
    cursor = page.cursor;
  } while (cursor !== undefined);
  return isGranted ? scopes : undefined;
}
