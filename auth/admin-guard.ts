import { OAuthError } from "@cloudflare/workers-oauth-provider";
import type { Identity } from "./identity.ts";
import { bearerOf, verifyPersonal } from "./resource-server.ts";
import { type PersonalTokens, isPersonalToken } from "./tokens.ts";

interface AdminGuardOptions {
  readonly identity: Identity;
  readonly personalTokens: PersonalTokens;
  /** Why nobody can be an admin; absent where somebody can. */
  readonly whyNoAdmins: string | undefined;
  readonly now: () => Date;
}

export type AdminHandler = (userId: string) => Promise<Response>;

/**
 * Calls the handler with the admin whose personal token a program brings, or says why not. The token needs the scope
 * `admin`; one of an OAuth client opens its endpoint and nothing here.
 */
export function createAdminGuard(
  options: AdminGuardOptions,
): (request: Request, ctx: ExecutionContext, handler: AdminHandler) => Promise<Response> {
  return async (request, ctx, handler) => {
    try {
      const token = bearerOf(request);
      const isOurs = token !== undefined && isPersonalToken(token);
      const waitUntil = (work: Promise<unknown>): void => ctx.waitUntil(work);
      const verified = isOurs ? await verifyPersonal(token, { waitUntil }, options) : undefined;
      if (verified === undefined)
        return refusal(401, "The token is unknown, revoked or expired; make one on /account.");
      const { userId, scopes } = verified.caller;
      return scopes.includes("admin") ? await handler(userId) : refusal(403, options.whyNoAdmins ?? NO_SCOPE);
    } catch (failure) {
      if (!(failure instanceof OAuthError)) throw failure;
      return refusal(503, "Cloudflare Access cannot be asked whether you are still let in; try again in a minute.");
    }
  };
}

const NO_SCOPE = "The token lacks the scope admin, which only an admin's token can have.";

function refusal(status: number, message: string): Response {
  const headers = { "Cache-Control": "no-store", ...(status === 401 ? { "WWW-Authenticate": "Bearer" } : {}) };
  return Response.json({ error: message }, { status, headers });
}
