import { OAuthError } from "@cloudflare/workers-oauth-provider";
import type { Log } from "../servers/core/log.ts";
import { askToSignIn } from "./account-routes.ts";
import type { AccountPath, AccountSessions } from "./account-session.ts";
import { problemPage } from "./consent.ts";
import { GiverUnknown } from "./giver.ts";
import type { Identity } from "./identity.ts";
import { bearerOf, verifyPersonal } from "./resource-server.ts";
import { type PersonalTokens, isPersonalToken } from "./tokens.ts";

interface AdminGuardOptions {
  readonly identity: Identity;
  readonly sessions: AccountSessions;
  readonly personalTokens: PersonalTokens;
  /** Why nobody can be an admin; absent where somebody can. */
  readonly whyNoAdmins: string | undefined;
  readonly log: Log;
  readonly now: () => Date;
}

/** An admin who asks: a person at the pages, or a program with a personal token. */
export interface AskingAdmin {
  readonly userId: string;
  readonly isProgram: boolean;
}

export type AdminHandler = (admin: AskingAdmin) => Promise<Response>;

type AdminGuard = (
  request: Request,
  page: AccountPath,
  waitUntil: (work: Promise<unknown>) => void,
  handler: AdminHandler,
) => Promise<Response>;

/**
 * Calls the handler with the admin whose session or personal token the request brings, or says why not. A token needs
 * the scope `admin`; one of an OAuth client opens its endpoint and nothing here.
 */
export function createAdminGuard(options: AdminGuardOptions): AdminGuard {
  return async (request, page, waitUntil, handler) =>
    request.headers.has("Authorization")
      ? await guardProgram(request, waitUntil, handler, options)
      : await guardPerson(request, page, handler, options);
}

async function guardProgram(
  request: Request,
  waitUntil: (work: Promise<unknown>) => void,
  handler: AdminHandler,
  options: AdminGuardOptions,
): Promise<Response> {
  try {
    const token = bearerOf(request);
    const isOurs = token !== undefined && isPersonalToken(token);
    const verified = isOurs ? await verifyPersonal(token, { waitUntil }, options) : undefined;
    if (verified === undefined) return refusal(401, "The token is unknown, revoked or expired; make one on /account.");
    const { userId, scopes } = verified.caller;
    if (scopes.includes("admin")) return await handler({ userId, isProgram: true });
    return refusal(
      403,
      options.whyNoAdmins ?? "The token lacks the scope admin, which only an admin's token can have.",
    );
  } catch (failure) {
    if (!(failure instanceof OAuthError)) throw failure;
    return refusal(503, "Cloudflare Access cannot be asked whether you are still let in; try again in a minute.");
  }
}

async function guardPerson(
  request: Request,
  page: AccountPath,
  handler: AdminHandler,
  options: AdminGuardOptions,
): Promise<Response> {
  try {
    const visitor = await options.sessions.find(request);
    if (visitor === undefined) return await askToSignIn(page, { ...options, request });
    if (visitor.role === "admin") return await handler({ userId: visitor.person.userId, isProgram: false });
    const advice = options.whyNoAdmins ?? "Ask whoever runs Pincer, or open /account for what is yours.";
    return problemPage(403, "This page is for admins", advice);
  } catch (failure) {
    if (!(failure instanceof GiverUnknown)) throw failure;
    return problemPage(503, "Try again in a minute", failure.message);
  }
}

function refusal(status: number, message: string): Response {
  const headers = { "Cache-Control": "no-store", ...(status === 401 ? { "WWW-Authenticate": "Bearer" } : {}) };
  return Response.json({ error: message }, { status, headers });
}
