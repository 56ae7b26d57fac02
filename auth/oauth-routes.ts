import type { OAuthAuthorizationServer, OAuthHelpers } from "@cloudflare/workers-oauth-provider";
import type { Log } from "../servers/core/log.ts";
import { readText } from "../servers/shared/read-text.ts";
import type { Settings } from "../servers/shared/settings.ts";
import { type AuthEnv, withDocumentSupport } from "./authorization-server.ts";
import { type DocumentStore, createClientDocuments } from "./client-documents.ts";
import type { Endings } from "./endings.ts";
import { type LibraryEnv, forNewClients, withClients } from "./oauth-store.ts";
import { REGISTRATION_ROUTE, type RegistrationCounter, refuseFlood } from "./registration.ts";
import type { TokenCache } from "./token-cache.ts";
import { MAX_OAUTH_BODY_BYTES, type RefreshTurns, TOKEN_ENDPOINT, createTokenEndpoint } from "./token-endpoint.ts";

interface OAuthRoutesOptions {
  readonly settings: Settings;
  readonly authorizationServer: OAuthAuthorizationServer<LibraryEnv>;
  readonly turns: (userId: string) => RefreshTurns;
  readonly clients: () => DocumentStore & RegistrationCounter;
  readonly endings: Endings;
  readonly cache: TokenCache;
  readonly log: Log;
  readonly fetch: typeof fetch;
  readonly now: () => Date;
}

export interface OAuthRoutes {
  /** Answers the routes below `/oauth/` and those of the server's metadata. */
  fetch(request: Request, env: AuthEnv, ctx: ExecutionContext): Promise<Response>;
  /** What the consent page asks of the library: there, a person opens the document that a client names. */
  consentHelpers(env: AuthEnv): OAuthHelpers;
  /** What the pages of an account ask of it: documents are taken as they were last fetched. */
  accountHelpers(env: AuthEnv): OAuthHelpers;
}

/** The OAuth library's own routes, each with KV as it is to see it. */
export function createOAuthRoutes(options: OAuthRoutesOptions): OAuthRoutes {
  const { settings, authorizationServer, clients, log, now } = options;
  const preregistered = settings.PREREGISTERED_CLIENTS;
  const isLocal = settings.IDENTITY === "local";
  const documents = createClientDocuments({ ...options, publicUrl: settings.PUBLIC_URL, isLocal, store: clients });
  const tokenEndpoint = createTokenEndpoint(options);
  return {
    fetch: async (received, { OAUTH_KV: kv }, ctx) => {
      const request = await withinLimit(received);
      if (request === undefined) return Response.json({ error: "invalid_request" }, { status: 413 });
      const { pathname } = new URL(request.url);
      if (pathname === REGISTRATION_ROUTE) {
        const refused = await refuseFlood(request, { counter: clients, log, now });
        return refused ?? (await authorizationServer.fetch(request, { OAUTH_KV: forNewClients(kv) }, ctx));
      }
      const library = { OAUTH_KV: withClients(kv, { preregistered, byDocument: documents.recall }) };
      if (pathname === TOKEN_ENDPOINT) return await tokenEndpoint(request, { kv, library }, ctx);
      return await withDocumentSupport(await authorizationServer.fetch(request, library, ctx));
    },
    consentHelpers: ({ OAUTH_KV: kv }) =>
      authorizationServer.getOAuthApi({ OAUTH_KV: withClients(kv, { preregistered, byDocument: documents.open }) }),
    accountHelpers: ({ OAUTH_KV: kv }) =>
      authorizationServer.getOAuthApi({ OAUTH_KV: withClients(kv, { preregistered, byDocument: documents.recall }) }),
  };
}

/** The request with its body read; `undefined` where that is too long. */
async function withinLimit(request: Request): Promise<Request | undefined> {
  if (request.body === null) return request;
  const body = await readText(request.body, MAX_OAUTH_BODY_BYTES);
  return body === undefined ? undefined : new Request(request, { method: request.method, body });
}
