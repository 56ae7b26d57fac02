import {
  type OAuthAuthorizationServer,
  OAuthResourceServer,
  type OAuthResourceTokenValidation,
  insufficientScope,
} from "@cloudflare/workers-oauth-provider";
import type { AuthEnv } from "./authorization-server.ts";
import type { Caller } from "./caller.ts";
import { cannotAsk, giverNow } from "./giver.ts";
import type { Identity } from "./identity.ts";
import { withinRole } from "./policy.ts";
import type { Scope } from "./scopes.ts";
import { type LibraryEnv, parseIssuedToken } from "./oauth-store.ts";
import { sha256Hex } from "./secrets.ts";
import type { ServiceTokens } from "./service-tokens.ts";
import type { TokenCache, VerifiedToken } from "./token-cache.ts";
import { type PersonalTokens, clientIdOfToken, isPersonalToken } from "./tokens.ts";

const MAX_TOKEN_LENGTH = 512;

/** The header as the library reads it. */
const BEARER = /^Bearer[\t ]+([^\s,]+)$/i;

/** What a request bears, if anything. */
export function bearerOf(request: Request): string | undefined {
  return BEARER.exec(request.headers.get("Authorization") ?? "")?.[1];
}

/** What a guarded handler learns about the token; the token itself stays behind. */
export interface TokenFacts {
  readonly token?: never;
  readonly resource: string;
  readonly resourceMetadataUrl: string;
  readonly expiresAt?: number;
}

export type GuardedHandler = (request: Request, caller: Caller, auth: TokenFacts) => Promise<Response>;

/** What one request brings along. The library calls it `env` and hands it through untouched. */
interface GuardedCall {
  readonly env: AuthEnv;
  readonly waitUntil: (work: Promise<unknown>) => void;
  readonly handler: GuardedHandler;
}

export interface ResourceServer {
  fetch(request: Request, call: GuardedCall, ctx: ExecutionContext): Promise<Response>;
}

interface ResourceServerOptions {
  readonly publicUrl: string;
  readonly path: string;
  readonly authorizationServer: OAuthAuthorizationServer<LibraryEnv>;
  readonly identity: Identity;
  readonly personalTokens: PersonalTokens;
  /** Absent where no service may call. */
  readonly services: ServiceTokens | undefined;
  readonly cache: TokenCache;
  readonly now: () => Date;
}

/**
 * One endpoint as an OAuth resource: its RFC 9728 metadata, its 401, and the way from a bearer token to a caller.
 * It names no required scopes, so that clients ask for none and the consent page offers what the endpoint uses.
 */
export function createResourceServer(options: ResourceServerOptions): ResourceServer {
  const resource = `${options.publicUrl}${options.path}`;
  const resourceMetadataUrl = `${options.publicUrl}/.well-known/oauth-protected-resource${options.path}`;
  const factsOf = (expiresAt: number | undefined): TokenFacts => ({
    resource,
    resourceMetadataUrl,
    ...(expiresAt === undefined ? {} : { expiresAt }),
  });
  const library = new OAuthResourceServer<GuardedCall, Caller>({
    resourceMetadata: { resource, authorization_servers: [options.publicUrl], resource_name: `Pincer ${options.path}` },
    validateToken: (call) => async (_resource, token) => await validate(token, resource, call, options),
    handler: {
      fetch: async (request, { handler }, { props, auth: { expiresAt } }) =>
        await handler(request, props, factsOf(expiresAt)),
    },
  });
  return {
    fetch: async (request, call, ctx) => {
      const service = await options.services?.find(request);
      if (service !== undefined) {
        if (request.headers.has("Authorization")) return twoProofs();
        return await call.handler(request, service.caller, factsOf(service.expiresAtSeconds));
      }
      const known = await recall(request, resource, options.cache);
      if (known === undefined) return await library.fetch(request, call, ctx);
      return await call.handler(request, known.caller, factsOf(known.expiresAtSeconds));
    },
  };
}

/** RFC 6750 §2: one request, one way to say who calls. Which of the two is meant is not for us to guess. */
function twoProofs(): Response {
  const description = "Send either a token or a service token's assertion, not both.";
  const body = { error: "invalid_request", error_description: description };
  return Response.json(body, { status: 400, headers: { "Cache-Control": "no-store" } });
}

/**
 * What the library has let through a moment ago, it lets through again: going its whole way for each call takes
 * longer than most calls do. Anything else is for the library to answer.
 */
async function recall(request: Request, resource: string, cache: TokenCache): Promise<VerifiedToken | undefined> {
  if (request.url !== resource && !request.url.startsWith(`${resource}?`)) return undefined;
  const token = bearerOf(request);
  return token === undefined ? undefined : cache.get(await cacheKey(resource, token));
}

/** Holds a hash of the token, never the token. */
async function cacheKey(resource: string, token: string): Promise<string> {
  return `${resource} ${await sha256Hex(token)}`;
}

/**
 * The 403 for a caller whose token lacks scopes that a tool needs. It names what the token has and all that is
 * missing, since clients ask for exactly what it names and the new grant replaces the old one.
 */
export function scopeChallenge(caller: Caller, needed: readonly Scope[], auth: TokenFacts): Response {
  const scopes = [...new Set([...caller.scopes, ...needed])];
  return insufficientScope({ token: "", audience: auth.resource, scope: [...caller.scopes] }, scopes);
}

async function validate(
  token: string,
  resource: string,
  call: GuardedCall,
  { cache, ...options }: ResourceServerOptions,
): Promise<OAuthResourceTokenValidation<Caller> | null> {
  if (token.length > MAX_TOKEN_LENGTH) return null;
  const verified = await (isPersonalToken(token)
    ? verifyPersonal(token, call, options)
    : verifyOAuth(token, resource, call.env, options));
  if (verified === undefined || verified.expiresAtSeconds * 1000 <= options.now().getTime()) return null;
  cache.set(await cacheKey(resource, token), verified);
  return { props: verified.caller, audience: resource, expiresAt: verified.expiresAtSeconds };
}

type Verification = Omit<ResourceServerOptions, "cache" | "services">;

async function verifyOAuth(
  token: string,
  resource: string,
  env: AuthEnv,
  { authorizationServer, identity }: Verification,
): Promise<VerifiedToken | undefined> {
  const validated = await authorizationServer.validateToken<unknown>(resource, token, env);
  if (validated === null) return undefined;
  const { props, userId, clientId, scope, expiresAt } = validated;
  const role = identity.roleOf(props);
  if (role === undefined) return undefined;
  return {
    caller: { userId, role, scopes: withinRole(scope, role), clientId },
    expiresAtSeconds: expiresAt,
    ...grantOfToken(token),
  };
}

function grantOfToken(token: string): Pick<VerifiedToken, "grant"> {
  const parsed = parseIssuedToken(token);
  return parsed === undefined ? {} : { grant: parsed.grant };
}

/** Throws what the client tries again where nobody can say whether its person is still let in. */
export async function verifyPersonal(
  token: string,
  { waitUntil }: Pick<GuardedCall, "waitUntil">,
  { personalTokens, identity, now }: Pick<Verification, "personalTokens" | "identity" | "now">,
): Promise<VerifiedToken | undefined> {
  const found = await personalTokens.find(token);
  if (found === undefined || found.stored.expiresAtMs <= now().getTime()) return undefined;
  const { userId, stored } = found;
  // A suite that has moved to another mode does not know who made it.
  const maker = await giverNow(identity, { userId, owner: stored.owner });
  if (maker.kind === "unknown") throw cannotAsk();
  if (maker.kind === "out") return undefined;
  waitUntil(personalTokens.noteUse(found));
  const { role } = maker;
  const clientId = clientIdOfToken(stored.id);
  return {
    caller: { userId, role, scopes: withinRole(stored.scopes, role), clientId },
    expiresAtSeconds: Math.floor(stored.expiresAtMs / 1000),
    grant: clientId,
  };
}
