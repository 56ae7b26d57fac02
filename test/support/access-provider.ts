import type { IncomingMessage, ServerResponse } from "node:http";
import { exportJWK, generateKeyPair } from "jose";
import { Provider, interactionPolicy } from "oidc-provider";
import { serve } from "../egress/loopback.ts";

const CLIENT = { id: "pincer-at-access", secret: "the-secret-of-pincer-at-access" } as const;

/** A real OpenID provider on loopback in the place of Access for SaaS, with people whom a test lets in or not. */
export interface AccessProvider extends AsyncDisposable {
  readonly issuer: string;
  /** The settings that have a suite sign people in here. */
  readonly settings: Readonly<Record<string, string>>;
  /** The groups of everybody who is let in. */
  readonly people: Map<string, readonly string[]>;
  /** Who is at the browser, where the provider asks. */
  atBrowser: string;
  /** What it does instead of answering. */
  trouble: "none" | "down" | "denies";
  /** The grant types of the token requests that it has granted. */
  readonly granted: string[];
  /** The error codes of those that it has refused. */
  readonly refused: string[];
  /** Every refresh token that it has given out. */
  readonly refreshTokens: string[];
}

/** `redirectUri` is where the suite lets browsers come back to. */
export async function startAccessProvider(redirectUri: string): Promise<AccessProvider> {
  let answer: (request: IncomingMessage, response: ServerResponse) => void = () => undefined;
  const server = await serve((request, response) => answer(request, response));
  const issuer = `http://127.0.0.1:${server.port}`;
  const provider = await createProvider(issuer, redirectUri, (id) => access.people.get(id));
  const access: AccessProvider = {
    issuer,
    settings: {
      IDENTITY: "access-oidc",
      ACCESS_OIDC_ISSUER: issuer,
      ACCESS_OIDC_CLIENT_ID: CLIENT.id,
      ACCESS_OIDC_CLIENT_SECRET: CLIENT.secret,
    },
    people: new Map(),
    atBrowser: "ann",
    trouble: "none",
    granted: [],
    refused: [],
    refreshTokens: [],
    [Symbol.asyncDispose]: async () => await server[Symbol.asyncDispose](),
  };
  provider.on("grant.success", (context) => access.granted.push(String(context.oidc.params?.["grant_type"])));
  provider.on("grant.error", (_context, error) => access.refused.push(error.error));
  provider.on("refresh_token.saved", ({ jti }) => access.refreshTokens.push(jti));
  const answerTo = provider.callback();
  answer = (request, response) => {
    if (access.trouble === "down") response.writeHead(503).end();
    else if (request.url?.startsWith("/sign-in/") === true) void signIn(provider, request, response, access);
    else void answerTo(request, response);
  };
  return access;
}

/** Nobody types a password here: the person at the browser is signed in, or turned away. */
async function signIn(
  provider: Provider,
  request: IncomingMessage,
  response: ServerResponse,
  { atBrowser, people, trouble }: AccessProvider,
): Promise<void> {
  const isLetIn = trouble !== "denies" && people.has(atBrowser);
  const result = isLetIn ? { login: { accountId: atBrowser } } : { error: "access_denied" };
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}

async function createProvider(
  issuer: string,
  redirectUri: string,
  groupsOf: (id: string) => readonly string[] | undefined,
): Promise<Provider> {
  const { privateKey } = await generateKeyPair("RS256", { extractable: true });
  const policy = interactionPolicy.base();
  policy.remove("consent");
  return new Provider(issuer, {
    clients: [
      {
        client_id: CLIENT.id,
        client_secret: CLIENT.secret,
        redirect_uris: [redirectUri],
        grant_types: ["authorization_code", "refresh_token"],
        token_endpoint_auth_method: "client_secret_post",
      },
    ],
    jwks: { keys: [{ ...(await exportJWK(privateKey)), kid: "k1", alg: "RS256", use: "sig" }] },
    cookies: { keys: ["the-key-of-the-providers-cookies"] },
    routes: { authorization: "/authorization", token: "/token", jwks: "/jwks", userinfo: "/userinfo" },
    claims: { openid: ["sub"], email: ["email"], groups: ["groups"] },
    scopes: ["openid", "email", "groups"],
    // As Access does: the id token holds all claims.
    conformIdTokenClaims: false,
    ttl: { AccessToken: 300, Grant: 3_600, IdToken: 300, Interaction: 300, RefreshToken: 3_600, Session: 3_600 },
    features: { devInteractions: { enabled: false } },
    interactions: { policy, url: (_context, { uid }) => `/sign-in/${uid}` },
    // As Access does: a refresh token without a scope for it, and a new one with each use.
    issueRefreshToken: async () => true,
    rotateRefreshToken: true,
    findAccount: (_context, accountId) => {
      const groups = groupsOf(accountId);
      if (groups === undefined) return undefined;
      return { accountId, claims: () => ({ sub: accountId, email: `${accountId}@example.com`, groups: [...groups] }) };
    },
    loadExistingGrant: async ({ oidc }) => {
      const grant = new oidc.provider.Grant({
        ...(oidc.client === undefined ? {} : { clientId: oidc.client.clientId }),
        ...(oidc.session?.accountId === undefined ? {} : { accountId: oidc.session.accountId }),
      });
      grant.addOIDCScope("openid email groups");
      await grant.save();
      return grant;
    },
  });
}
