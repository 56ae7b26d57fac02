import type { AuthRequest, OAuthHelpers } from "@cloudflare/workers-oauth-provider";
import type { Log } from "../servers/core/log.ts";
import { problemPage } from "./consent.ts";
import type { GrantMetadata } from "./giver.ts";
import type { Identity, Upstream } from "./identity.ts";
import { withinRole } from "./policy.ts";

interface UpstreamWayOptions {
  readonly identity: Identity;
  readonly log: Log;
}

/**
 * Sends the browser to the upstream provider with a request that its person has consented to. The `state` is bound to
 * this browser: the answer to a request that somebody else began is refused.
 */
export async function goUpstream(
  approved: AuthRequest,
  oauth: OAuthHelpers,
  upstream: Upstream,
  headers: Headers,
): Promise<Response> {
  const { data, urlFor } = await upstream.begin();
  const { state } = await oauth.beginUpstream(approved, { data, headers });
  headers.set("Location", urlFor(state));
  return new Response(null, { status: 302, headers });
}

/** The way back: the provider's answer becomes a person, and what was approved becomes a grant within their role. */
export async function comeBackFromUpstream(
  request: Request,
  oauth: OAuthHelpers,
  { identity, log }: UpstreamWayOptions,
): Promise<Response> {
  const { upstream } = identity;
  if (upstream === undefined || request.method !== "GET") {
    return problemPage(404, "There is nothing here", "Go back to the app and start again.");
  }
  const { request: approved, data, headers } = await oauth.finishUpstream(request);
  const arrival = await upstream.finish(new URL(request.url), data);
  if (arrival.kind === "refused") {
    log.info("sign-in refused", { reason: arrival.reason });
    return problemPage(403, "You are not signed in", arrival.message, headers);
  }
  const { userId, owner, sessionId } = arrival;
  const role = identity.roleOf(owner);
  const scope = role === undefined ? [] : withinRole(approved.scope, role);
  if (scope.length === 0) {
    const message = "Your role may do nothing of what you have ticked. Ask whoever runs Pincer for another.";
    return problemPage(403, "There is nothing to allow", message, headers);
  }
  await arrival.keep();
  const { redirectTo } = await oauth.completeAuthorization({
    request: approved,
    userId,
    metadata: { session: sessionId } satisfies GrantMetadata,
    scope,
    props: owner,
  });
  headers.set("Location", redirectTo);
  return new Response(null, { status: 302, headers });
}
