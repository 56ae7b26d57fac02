import type { OAuthHelpers } from "@cloudflare/workers-oauth-provider";
import type { Endings } from "./endings.ts";
import { plainName } from "./html.ts";
import { type EndedGrants, grantsOf } from "./grants.ts";
import { type Scope, isScope } from "./scopes.ts";
import type { StoredToken, TokenStore } from "./tokens.ts";

/** A grant, as pages show it. */
export interface HeldGrant {
  readonly id: string;
  readonly clientId: string;
  readonly clientName: string;
  /** The endpoint that it is for. */
  readonly resource: string;
  readonly scopes: readonly Scope[];
  readonly createdAtMs: number;
}

/** What acts for a person. */
export interface Holdings {
  readonly grants: readonly HeldGrant[];
  readonly tokens: readonly StoredToken[];
}

export interface HoldingsKeeper {
  /** The newest first. */
  list(userId: string): Promise<Holdings>;
  /** Also those that have expired. */
  tokens(userId: string): Promise<readonly StoredToken[]>;
  /** What an OAuth client calls itself; nothing where it is forgotten. */
  clientName(clientId: string): Promise<string | undefined>;
  /** Whether the person had such a grant or token; another person's is not theirs to revoke. */
  revoke(userId: string, held: { readonly kind: string; readonly id: string }): Promise<boolean>;
  /** Signs the person out of their own pages, so that nothing new is made there. */
  endPages(userId: string): Promise<void>;
}

interface HoldingsOptions {
  readonly accounts: (userId: string) => TokenStore & EndedGrants;
  readonly endings: Endings;
  readonly now: () => Date;
}

export function holdingsIn(oauth: OAuthHelpers, options: HoldingsOptions): HoldingsKeeper {
  const { accounts, now } = options;
  return {
    list: async (userId) => {
      const [grants, tokens] = await Promise.all([listGrants(userId, oauth, options), accounts(userId).listTokens()]);
      const nowMs = now().getTime();
      return { grants, tokens: tokens.filter(({ expiresAtMs }) => expiresAtMs > nowMs) };
    },
    tokens: async (userId) => await accounts(userId).listTokens(),
    clientName: async (clientId) => {
      const name = (await oauth.lookupClient(clientId))?.clientName;
      return name === undefined ? undefined : plainName(name);
    },
    revoke: async (userId, { kind, id }) => {
      if (kind === "grant") return await revokeGrant(userId, id, oauth, options);
      return kind === "token" && (await options.endings.token(userId, id));
    },
    endPages: options.endings.pages,
  };
}

async function listGrants(userId: string, oauth: OAuthHelpers, options: HoldingsOptions): Promise<HeldGrant[]> {
  const found = await Array.fromAsync(grantsOf(userId, oauth, options));
  const grants = await Promise.all(
    found.map(async ({ id, clientId, resource, scope, createdAt }) => ({
      id,
      clientId,
      clientName: plainName((await oauth.lookupClient(clientId))?.clientName ?? clientId),
      resource: [resource ?? []].flat().join(" "),
      scopes: scope.filter(isScope),
      createdAtMs: createdAt * 1_000,
    })),
  );
  return grants.toSorted((a, b) => b.createdAtMs - a.createdAtMs);
}

async function revokeGrant(
  userId: string,
  id: string,
  oauth: OAuthHelpers,
  options: HoldingsOptions,
): Promise<boolean> {
  const grants = await Array.fromAsync(grantsOf(userId, oauth, options));
  const grant = grants.find((held) => held.id === id);
  if (grant === undefined) return false;
  await options.endings.grant(grant, oauth);
  return true;
}
