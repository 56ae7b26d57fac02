import { GrantType, OAuthAuthorizationServer, OAuthError } from "@cloudflare/workers-oauth-provider";
import type { Log } from "../servers/core/log.ts";
import { giverForToken } from "./giver.ts";
import type { Identity } from "./identity.ts";
import { withinRole } from "./policy.ts";
import { ALL_SCOPES } from "./scopes.ts";

/** The part of the Worker's environment that the OAuth library reads by itself. */
export interface AuthEnv {
  readonly OAUTH_KV: KVNamespace;
}

export const AUTHORIZE_ROUTE = "/authorize";

interface AuthorizationServerOptions {
  readonly publicUrl: string;
  readonly resources: readonly string[];
  readonly identity: Identity;
  readonly log: Log;
}

/**
 * One issuer for every endpoint. Clients register themselves (RFC 7591); a client whose id is a URL is unknown,
 * since its document would be fetched from wherever it says.
 */
export function createAuthorizationServer(options: AuthorizationServerOptions): OAuthAuthorizationServer<AuthEnv> {
  const { publicUrl, resources, identity, log } = options;
  const { seconds, isRenewed, tokenSeconds } = identity.grantLife;
  return new OAuthAuthorizationServer<AuthEnv>({
    issuer: publicUrl,
    resources,
    // Clients from before RFC 8707 name no resource; the suite's endpoint is the first.
    ...(resources[0] === undefined ? {} : { defaultResource: resources[0] }),
    authorizeEndpoint: AUTHORIZE_ROUTE,
    tokenEndpoint: "/oauth/token",
    clientRegistrationEndpoint: "/oauth/register",
    scopesSupported: ALL_SCOPES,
    clientIdMetadataDocumentEnabled: false,
    // Cursor comes back through cursor://.
    allowPrivateUseRedirectUris: true,
    accessTokenTTL: tokenSeconds,
    refreshTokenTTL: seconds,
    ...(isRenewed ? { refreshTokenIdleTTL: seconds } : {}),
    // Runs at each exchange and refresh: what the person may no longer do, the next token cannot.
    tokenExchangeCallback: async ({ grantType, userId, props, requestedScope }) => {
      const isRefresh = grantType === GrantType.REFRESH_TOKEN;
      const giver = await giverForToken(identity, { userId, props, isRefresh });
      const role = identity.roleOf(giver);
      if (role === undefined) throw new OAuthError("invalid_grant", { description: "Sign in again." });
      return { accessTokenScope: withinRole(requestedScope, role), accessTokenProps: giver };
    },
    onError: ({ code, status, internal }) => {
      log.info("oauth refused", { code, status, category: internal.category, reason: internal.reason });
    },
  });
}
