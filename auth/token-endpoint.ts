import type { OAuthAuthorizationServer } from "@cloudflare/workers-oauth-provider";
import type { Log } from "../servers/core/log.ts";
import { readText } from "../servers/shared/read-text.ts";
import type { Endings } from "./endings.ts";
import { type IssuedToken, type LibraryEnv, findGrant, parseIssuedToken } from "./oauth-store.ts";
import { peopleIn } from "./people.ts";
import { sha256Hex } from "./secrets.ts";
import type { TokenCache } from "./token-cache.ts";

export const TOKEN_ENDPOINT = "/oauth/token";

/** Anybody may send to the OAuth routes, and the library reads a form whole, however long it is. */
export const MAX_OAUTH_BODY_BYTES = 64 * 1024;

/** Lets a refresh token be used once, in the Durable Object of the person whose it is. */
export interface RefreshTurns {
  takeRefresh(use: {
    readonly grantId: string;
    readonly hash: string;
    readonly requestHash: string;
    readonly nowMs: number;
  }): Promise<
    { readonly kind: "first" } | { readonly kind: "shared"; readonly answer: string } | { readonly kind: "spent" }
  >;
  finishRefresh(outcome: {
    readonly grantId: string;
    readonly hash: string;
    readonly answer: string;
    readonly nowMs: number;
  }): Promise<void>;
  giveUpRefresh(hash: string): Promise<void>;
}

interface TokenEndpointOptions {
  readonly authorizationServer: OAuthAuthorizationServer<LibraryEnv>;
  readonly turns: (userId: string) => RefreshTurns;
  readonly endings: Endings;
  readonly cache: TokenCache;
  readonly log: Log;
  readonly now: () => Date;
}

/** One request to the token endpoint, and how the library answers it. */
interface TokenRequest {
  readonly request: Request;
  readonly body: string;
  readonly form: URLSearchParams;
  readonly kv: KVNamespace;
  readonly answer: () => Promise<Response>;
}

type TokenEndpoint = (
  request: Request,
  stores: { readonly kv: KVNamespace; readonly library: LibraryEnv },
  ctx: ExecutionContext,
) => Promise<Response>;

/**
 * The library's token endpoint, with what it leaves out: a refresh token works once, a second use ends the grant
 * (RFC 9700 §4.14.2), and what a request has revoked is forgotten by this isolate too.
 */
export function createTokenEndpoint(options: TokenEndpointOptions): TokenEndpoint {
  const { authorizationServer } = options;
  return async (request, { kv, library }, ctx) => {
    const body = (await readText(request.clone().body, MAX_OAUTH_BODY_BYTES)) ?? "";
    const form = new URLSearchParams(body);
    const answer = async (): Promise<Response> => await authorizationServer.fetch(request, library, ctx);
    const asked = { request, body, form, kv, answer };
    const refreshed = form.get("grant_type") === "refresh_token" ? form.get("refresh_token") : null;
    if (refreshed !== null) return await refresh(refreshed, asked, { ...options, ctx });
    const named = parseIssuedToken(form.get("token") ?? form.get("code") ?? "");
    return named === undefined ? await answer() : await exchangeOrRevoke(named, asked, options);
  };
}

/** A revocation ends a token or its whole grant, and so does a code that comes twice: then nothing is issued. */
async function exchangeOrRevoke(
  named: IssuedToken,
  { form, kv, answer }: TokenRequest,
  { endings, cache }: TokenEndpointOptions,
): Promise<Response> {
  const grant = await findGrant(kv, named);
  const response = await answer();
  const isIssued = form.has("code") && response.status === 200;
  if (isIssued || grant === undefined) return response;
  cache.forgetGrant(named.grant);
  if ((await findGrant(kv, named)) === undefined) await endings.grant(grant);
  return response;
}

async function refresh(
  token: string,
  asked: TokenRequest,
  options: TokenEndpointOptions & { readonly ctx: ExecutionContext },
): Promise<Response> {
  const issued = parseIssuedToken(token);
  const grant = issued && (await findGrant(asked.kv, issued));
  if (issued === undefined || grant === undefined) return await asked.answer();
  const { userId, grantId } = issued;
  const turns = options.turns(userId);
  const hash = await sha256Hex(token);
  const credentials = asked.request.headers.get("Authorization") ?? "";
  const requestHash = await sha256Hex(`${credentials}\n${asked.body}`);
  const turn = await turns.takeRefresh({ grantId, hash, requestHash, nowMs: options.now().getTime() });
  switch (turn.kind) {
    case "first":
      options.ctx.waitUntil(peopleIn(asked.kv, options.now).renew(userId));
      return await exchange({ grantId, hash }, turns, asked, options);
    case "shared":
      return tokenResponse(turn.answer, 200, asked.request);
    case "spent":
      // Two have had the token, and nobody can tell which of them is the thief.
      options.log.info("refresh token reused, grant ended", { grantId });
      await options.endings.grant(grant, options.authorizationServer.getOAuthApi({ OAUTH_KV: asked.kv }));
      return tokenResponse(SPENT, 400, asked.request);
  }
}

const SPENT = JSON.stringify({
  error: "invalid_grant",
  error_description: "This refresh token was used before, so its grant has ended; sign in again.",
});

async function exchange(
  use: { readonly grantId: string; readonly hash: string },
  turns: RefreshTurns,
  { answer }: TokenRequest,
  { now }: TokenEndpointOptions,
): Promise<Response> {
  let isDone = false;
  try {
    const response = await answer();
    if (response.status !== 200) return response;
    await turns.finishRefresh({ ...use, answer: await response.clone().text(), nowMs: now().getTime() });
    isDone = true;
    return response;
  } finally {
    if (!isDone) await turns.giveUpRefresh(use.hash);
  }
}

/** As the library sends it. */
function tokenResponse(body: string, status: number, request: Request): Response {
  const page = request.headers.get("Origin");
  return new Response(body, {
    status,
    headers: {
      "Content-Type": "application/json",
      "Cache-Control": "no-store",
      Pragma: "no-cache",
      ...(page === null ? {} : { "Access-Control-Allow-Origin": page, Vary: "Origin" }),
    },
  });
}
