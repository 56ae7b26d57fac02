import { GrantType, OAuthAuthorizationServer, OAuthError } from "@cloudflare/workers-oauth-provider";
import * as z from "zod";
import type { Log } from "../servers/core/log.ts";
import { giverForToken } from "./giver.ts";
import type { Identity } from "./identity.ts";
import type { LibraryEnv } from "./oauth-store.ts";
import { withinRole } from "./policy.ts";
import { type RedirectVerdict, judgeRedirect } from "./redirects.ts";
import { REGISTRATION_ROUTE } from "./registration.ts";
import { ALL_SCOPES } from "./scopes.ts";
import { TOKEN_ENDPOINT } from "./token-endpoint.ts";

/** The part of the Worker's environment that sign-in reads. */
export interface AuthEnv {
  readonly OAUTH_KV: KVNamespace;
}

export const AUTHORIZE_ROUTE = "/authorize";

interface AuthorizationServerOptions {
  readonly publicUrl: string;
  readonly resources: readonly string[];
  readonly identity: Identity;
  /** `REDIRECT_URIS`. */
  readonly redirectUris: readonly string[];
  readonly log: Log;
}

/** A client that has signed in is forgotten when it has not been heard of for so long. */
const CLIENT_SECONDS = 90 * 24 * 60 * 60;

/**
 * One issuer for every endpoint. The library knows clients that have registered themselves (RFC 7591) and takes others
 * from the store that it is handed; it would fetch a client's document from wherever that leads, so that is left off.
 */
export function createAuthorizationServer(options: AuthorizationServerOptions): OAuthAuthorizationServer<LibraryEnv> {
  const { publicUrl, resources, identity, redirectUris, log } = options;
  const { seconds, isRenewed, tokenSeconds } = identity.grantLife;
  return new OAuthAuthorizationServer<LibraryEnv>({
    issuer: publicUrl,
    resources,
    // Clients from before RFC 8707 name no resource; the suite's endpoint is the first.
    ...(resources[0] === undefined ? {} : { defaultResource: resources[0] }),
    authorizeEndpoint: AUTHORIZE_ROUTE,
    tokenEndpoint: TOKEN_ENDPOINT,
    clientRegistrationEndpoint: REGISTRATION_ROUTE,
    clientRegistrationTTL: CLIENT_SECONDS,
    clientRegistrationCallback: ({ clientMetadata }) => {
      const description = problemWithAddresses(clientMetadata, redirectUris);
      return description === undefined ? undefined : { code: "invalid_redirect_uri", description };
    },
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

const addressesSchema = z.object({ redirect_uris: z.array(z.string()) });

/** Clients list the addresses of all their kinds at once: those that nobody knows are refused when they are used. */
function problemWithAddresses(metadata: unknown, listed: readonly string[]): string | undefined {
  const parsed = addressesSchema.safeParse(metadata);
  const verdicts = parsed.success ? parsed.data.redirect_uris.map((address) => judgeRedirect(address, listed)) : [];
  const isOf = (verdict: RedirectVerdict): boolean => verdicts.includes(verdict);
  if (isOf("unsafe"))
    return "A redirect URI is not https, loopback http or an app's own scheme, or hides where it leads";
  if (isOf("allowed")) return undefined;
  return "No redirect URI is one of a known client or of an app on this machine; whoever runs Pincer can list it in REDIRECT_URIS";
}

/** The library's metadata (RFC 8414), which does not know that documents are taken as well. */
export async function withDocumentSupport(response: Response): Promise<Response> {
  if (response.status !== 200 || response.body === null) return response;
  const metadata = z.looseObject({}).parse(await response.json());
  return Response.json({ ...metadata, client_id_metadata_document_supported: true }, { headers: response.headers });
}
