import { type Log, describeFailure } from "../servers/core/log.ts";
import { whyNoAdmins } from "../servers/shared/identity-settings.ts";
import { type Settings, isLoopback } from "../servers/shared/settings.ts";
import type { ActStore } from "./acts.ts";
import { createAccessEdgeIdentity } from "./access-edge.ts";
import { type UpstreamSessions, createAccessOidcIdentity } from "./access-oidc.ts";
import { type Pages, createAccountRoutes } from "./account-routes.ts";
import { type SessionStore, createAccountSessions, isAccountPath } from "./account-session.ts";
import { type AdminHandler, createAdminGuard } from "./admin-guard.ts";
import { AUTHORIZE_ROUTE, type AuthEnv, createAuthorizationServer } from "./authorization-server.ts";
import { type ConsentMemory, createAuthorizeRoute } from "./authorize.ts";
import type { Caller } from "./caller.ts";
import type { DocumentStore } from "./client-documents.ts";
import { createConsentPerson } from "./consent-person.ts";
import { type EndingStore, createEndings } from "./endings.ts";
import { createGrantCheck } from "./grant-check.ts";
import type { EndedGrants } from "./grants.ts";
import { holdingsIn } from "./holdings.ts";
import type { Identity, Person } from "./identity.ts";
import { type Standing, withheldInside } from "./inside.ts";
import { type Attempts, createLocalIdentity } from "./local.ts";
import { createOAuthRoutes } from "./oauth-routes.ts";
import { type People, peopleIn } from "./people.ts";
import { type PreviewCodes, createPreviewWay } from "./preview-way.ts";
import type { RegistrationCounter } from "./registration.ts";
import { type GuardedHandler, type ResourceServer, createResourceServer } from "./resource-server.ts";
import type { Scope } from "./scopes.ts";
import { createSigner } from "./secrets.ts";
import { type ServiceTokens, createServiceTokens } from "./service-tokens.ts";
import { createTokenCache } from "./token-cache.ts";
import type { RefreshTurns } from "./token-endpoint.ts";
import { TOKEN_ROUTE, createTokenRoute } from "./token-route.ts";
import { type TokenStore, createPersonalTokens } from "./tokens.ts";
import { createUpstreamProvider } from "./upstream-provider.ts";
import { CALLBACK_ROUTE, upstreamClient } from "./upstream-settings.ts";

const RESOURCE_METADATA = "/.well-known/oauth-protected-resource";
const SERVER_METADATA = "/.well-known/oauth-authorization-server";

export interface AuthOptions {
  readonly settings: Settings;
  /** Paths of the MCP endpoints, `/mcp/files`; each is an OAuth resource of its own. */
  readonly endpoints: readonly string[];
  /** A person's Durable Object. */
  readonly accounts: (
    userId: string,
  ) => TokenStore &
    Attempts &
    ConsentMemory &
    RefreshTurns &
    EndedGrants &
    SessionStore &
    EndingStore &
    ActStore &
    PreviewCodes;
  /** The Durable Object that knows of OAuth clients. */
  readonly clients: () => DocumentStore & RegistrationCounter;
  readonly upstreamSessions: UpstreamSessions;
  /** What is behind the sign-in to one's own pages. */
  readonly pages: Pages;
  /** Told of everybody who signs in, with the role that they have then. */
  readonly noteSignIn: (person: SignedIn) => Promise<void>;
  readonly log: Log;
  readonly now?: () => Date;
  readonly fetch?: typeof fetch;
}

export interface SignedIn extends Pick<Person, "userId" | "displayName"> {
  readonly role: Caller["role"];
}

export interface Auth {
  /** Answers the routes of sign-in and discovery; `undefined` for any other path. */
  routes(request: Request, env: AuthEnv, ctx: ExecutionContext): Promise<Response | undefined>;
  /** Calls the handler with the caller behind the bearer token, or answers with a challenge. */
  guard(
    endpoint: string,
    request: Request,
    env: AuthEnv,
    ctx: ExecutionContext,
    handler: GuardedHandler,
  ): Promise<Response>;
  /** Calls the handler with the admin whose personal token the request bears, or says why not. */
  guardAdmin(request: Request, ctx: ExecutionContext, handler: AdminHandler): Promise<Response>;
  /**
   * What the caller's client may do by now; `undefined` where the grant or the token is gone. What goes on without a
   * request asks here before each step. Rejects with `unavailable`, to be tried again, where nobody can say.
   */
  scopesNow(caller: Caller, env: AuthEnv): Promise<readonly Scope[] | undefined>;
  /** Whether a person may still have these scopes, for what goes on without a client. Rejects as `scopesNow` does. */
  isLetIn(userId: string, scopes: readonly Scope[], env: AuthEnv): Promise<boolean>;
  /** What may be done from inside a person's sandbox by now; `undefined` for nothing. Rejects as `scopesNow` does. */
  insideNow(userId: string, env: AuthEnv): Promise<Standing | undefined>;
}

/** Sign-in and tokens. Holds keys and verified tokens, so make it once per isolate. Throws on settings that contradict. */
export function createAuth(options: AuthOptions): Auth {
  const { settings, endpoints, accounts, pages, log, now = () => new Date() } = options;
  const publicUrl = settings.PUBLIC_URL;
  const identity = createIdentity(options);
  const authorizationServer = createAuthorizationServer({
    publicUrl,
    resources: endpoints.map((path) => `${publicUrl}${path}`),
    identity,
    redirectUris: settings.REDIRECT_URIS,
    log,
  });
  const personalTokens = createPersonalTokens(createSigner(settings.SIGNING_SECRET, "personal-token"), accounts, now);
  const cache = createTokenCache(now);
  const services = createServices(options);
  const resourceServers: ReadonlyMap<string, ResourceServer> = new Map(
    endpoints.map((path) => [
      path,
      createResourceServer({ publicUrl, path, authorizationServer, identity, personalTokens, services, cache, now }),
    ]),
  );
  const endings = createEndings({ accounts, identity, cache, now });
  const grants = createGrantCheck({
    ...{ authorizationServer, identity, accounts, services, now },
    withheldInside: withheldInside(settings),
  });
  const oauth = createOAuthRoutes({
    ...options,
    authorizationServer,
    turns: accounts,
    endings,
    cache,
    fetch: fetchOf(options),
    now,
  });
  const sessions = createAccountSessions({ signingSecret: settings.SIGNING_SECRET, accounts, identity, now });
  const consentPerson = createConsentPerson(settings.SIGNING_SECRET);
  const authorize = createAuthorizeRoute({
    publicUrl,
    settings,
    identity,
    consentPerson,
    accounts,
    clients: options.clients,
    endings,
    sessions,
    log,
    now,
  });
  const previews = createPreviewWay(settings, accounts, now);
  const account = createAccountRoutes({
    ...{ publicUrl, identity, sessions, pages, previews, log, now },
    tokens: personalTokens,
  });
  const people = (kv: KVNamespace): People => tellingOfSignIns(peopleIn(kv, now), identity, options);
  const makeToken =
    settings.IDENTITY === "local"
      ? createTokenRoute({
          publicUrl,
          adminSecret: needed(settings, "LOCAL_ADMIN_SECRET"),
          tokens: personalTokens,
          accounts,
          now,
        })
      : undefined;
  return {
    routes: async (received, env, ctx) => {
      const request = atPublicUrl(received, publicUrl);
      const { pathname } = new URL(request.url);
      if (pathname === AUTHORIZE_ROUTE || pathname === CALLBACK_ROUTE) {
        // The consent cookie belongs to one host: the browser goes on at the one that the form is sent to.
        if (request !== received) return Response.redirect(request.url, 307);
        return await authorize(request, oauth.consentHelpers(env), people(env.OAUTH_KV));
      }
      if (isAccountPath(pathname)) {
        if (request !== received) return Response.redirect(request.url, 307);
        const helpers = oauth.accountHelpers(env);
        const holdings = holdingsIn(helpers, { accounts, endings, now });
        return await account(request, { oauth: helpers, people: people(env.OAUTH_KV), holdings });
      }
      if (pathname === TOKEN_ROUTE) return await makeToken?.(received);
      if (isAtOrBelow(pathname, SERVER_METADATA) || pathname.startsWith("/oauth/")) {
        return await oauth.fetch(request, env, ctx);
      }
      if (!isAtOrBelow(pathname, RESOURCE_METADATA)) return undefined;
      const resourceServer = resourceServers.get(pathname.slice(RESOURCE_METADATA.length));
      const waitUntil = (work: Promise<unknown>): void => ctx.waitUntil(work);
      return await resourceServer?.fetch(request, { env, waitUntil, handler: unreachable }, ctx);
    },
    guard: async (endpoint, received, env, ctx, handler) => {
      const resourceServer = resourceServers.get(endpoint);
      if (resourceServer === undefined) throw new Error(`${endpoint} is not an endpoint.`);
      const waitUntil = (work: Promise<unknown>): void => ctx.waitUntil(work);
      return await resourceServer.fetch(atPublicUrl(received, publicUrl), { env, waitUntil, handler }, ctx);
    },
    guardAdmin: createAdminGuard({ identity, personalTokens, whyNoAdmins: whyNoAdmins(settings), now }),
    ...grants,
  };
}

/** Whoever is remembered has just signed in. A list of who there is keeps nobody out. */
function tellingOfSignIns(people: People, identity: Identity, { noteSignIn, log }: AuthOptions): People {
  return {
    ...people,
    remember: async (person) => {
      const { userId, displayName, owner } = person;
      const role = identity.roleOf(owner);
      await Promise.all([
        people.remember(person),
        role === undefined
          ? undefined
          : noteSignIn({ userId, displayName, role }).catch((failure: unknown) => {
              log.error("sign-in not noted", { userId, failure: describeFailure(failure) });
            }),
      ]);
    },
  };
}

function fetchOf({ fetch: given }: AuthOptions): typeof fetch {
  return given ?? (async (input, init) => await fetch(input, init));
}

function createIdentity(options: AuthOptions): Identity {
  const { settings, now = () => new Date() } = options;
  const fetcher = fetchOf(options);
  switch (settings.IDENTITY) {
    case "local":
      return createLocalIdentity({
        publicUrl: settings.PUBLIC_URL,
        signInCode: needed(settings, "LOCAL_SIGN_IN_CODE"),
        attempts: options.accounts,
        now,
      });
    case "access-oidc": {
      const client = upstreamClient(settings);
      return createAccessOidcIdentity({
        issuer: client.issuer,
        groups: settings,
        provider: createUpstreamProvider({ ...client, fetch: fetcher, now }),
        sessions: options.upstreamSessions,
        now,
      });
    }
    case "access-edge":
      return createAccessEdgeIdentity({
        teamDomain: needed(settings, "ACCESS_TEAM_DOMAIN"),
        audience: needed(settings, "ACCESS_AUDIENCE"),
        adminEmails: settings.ADMIN_EMAILS,
        groups: settings,
        fetch: fetcher,
        now,
      });
  }
}

/** Only where the settings name some. */
function createServices(options: AuthOptions): ServiceTokens | undefined {
  const { settings, log, now = () => new Date() } = options;
  if (settings.ACCESS_SERVICE_AUDIENCE === undefined) return undefined;
  return createServiceTokens({
    tokens: settings.SERVICE_TOKENS,
    teamDomain: needed(settings, "ACCESS_TEAM_DOMAIN"),
    audience: settings.ACCESS_SERVICE_AUDIENCE,
    log,
    fetch: fetchOf(options),
    now,
  });
}

type OptionalText = "LOCAL_SIGN_IN_CODE" | "LOCAL_ADMIN_SECRET" | "ACCESS_TEAM_DOMAIN" | "ACCESS_AUDIENCE";

function needed(settings: Settings, name: OptionalText): string {
  const value = settings[name];
  if (value === undefined) throw new Error(`${name} is missing while IDENTITY is ${settings.IDENTITY}.`);
  return value;
}

/** Another name of this machine, `127.0.0.1` for `localhost`, is the same origin to OAuth. No other host is. */
function atPublicUrl(request: Request, publicUrl: string): Request {
  if (request.url.startsWith(`${publicUrl}/`)) return request;
  const url = new URL(request.url);
  const ours = new URL(publicUrl);
  if (url.port !== ours.port || !isLoopback(url.hostname) || !isLoopback(ours.hostname)) return request;
  return new Request(`${ours.origin}${url.pathname}${url.search}`, request);
}

function isAtOrBelow(pathname: string, route: string): boolean {
  return pathname === route || pathname.startsWith(`${route}/`);
}

/** Metadata requests are answered by the library before any handler. */
async function unreachable(): Promise<Response> {
  throw new Error("A metadata request reached a handler.");
}
