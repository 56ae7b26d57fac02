import type { AuthRequest, OAuthHelpers } from "@cloudflare/workers-oauth-provider";
import * as z from "zod";
import type { Log } from "../servers/core/log.ts";
import { type AccountPath, type AccountSessions, accountPath } from "./account-session.ts";
import { problemPage } from "./consent.ts";
import type { GrantMetadata } from "./giver.ts";
import type { Identity, Upstream, UpstreamArrival } from "./identity.ts";
import type { People } from "./people.ts";
import { withinRole } from "./policy.ts";

interface UpstreamWayOptions {
  readonly identity: Identity;
  readonly sessions: AccountSessions;
  readonly people: People;
  readonly log: Log;
}

/** What a browser goes upstream for: a grant that its person has consented to, or a page of their own. */
type Errand =
  | { readonly kind: "grant"; readonly request: AuthRequest }
  | { readonly kind: "page"; readonly page: AccountPath };

/** Kept on the server between the way there and the way back. */
const errandSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("grant"), upstream: z.unknown() }),
  z.object({ kind: z.literal("page"), page: accountPath, upstream: z.unknown() }),
]);

/** The library keeps an authorization request with each way upstream; a page has none. */
const NO_REQUEST: AuthRequest = { responseType: "", clientId: "", redirectUri: "", scope: [], state: "" };

/**
 * Sends the browser to the upstream provider. The `state` is bound to this browser: the answer to a request that
 * somebody else began is refused.
 */
export async function goUpstream(
  errand: Errand,
  oauth: OAuthHelpers,
  upstream: Upstream,
  headers: Headers,
): Promise<Response> {
  const { data, urlFor } = await upstream.begin();
  const request = errand.kind === "grant" ? errand.request : NO_REQUEST;
  const kept = errand.kind === "grant" ? { kind: errand.kind } : errand;
  const { state } = await oauth.beginUpstream(request, { data: { ...kept, upstream: data }, headers });
  headers.set("Location", urlFor(state));
  return new Response(null, { status: 302, headers });
}

/** The way back: the provider's answer becomes a person, and what they came for is theirs. */
export async function comeBackFromUpstream(
  request: Request,
  oauth: OAuthHelpers,
  options: UpstreamWayOptions,
): Promise<Response> {
  const { identity, log } = options;
  const { upstream } = identity;
  if (upstream === undefined || request.method !== "GET") {
    return problemPage(404, "There is nothing here", "Go back to the app and start again.");
  }
  const { request: approved, data, headers } = await oauth.finishUpstream(request);
  const errand = errandSchema.parse(data);
  const arrival = await upstream.finish(new URL(request.url), errand.upstream);
  if (arrival.kind === "refused") {
    log.info("sign-in refused", { reason: arrival.reason });
    return problemPage(403, "You are not signed in", arrival.message, headers);
  }
  return errand.kind === "page"
    ? await openPage(errand.page, arrival, headers, options)
    : await grantWithinRole(approved, arrival, oauth, headers, options);
}

async function openPage(
  page: AccountPath,
  { person, keep }: UpstreamArrival,
  headers: Headers,
  { sessions, people }: UpstreamWayOptions,
): Promise<Response> {
  await keep();
  const [cookie] = await Promise.all([sessions.begin(person), people.remember(person)]);
  headers.append("Set-Cookie", cookie);
  headers.set("Location", page);
  return new Response(null, { status: 302, headers });
}

/** What was approved becomes a grant within the role of whoever came back. */
async function grantWithinRole(
  approved: AuthRequest,
  arrival: UpstreamArrival,
  oauth: OAuthHelpers,
  headers: Headers,
  { identity, people }: UpstreamWayOptions,
): Promise<Response> {
  const { person, sessionId } = arrival;
  const role = identity.roleOf(person.owner);
  const scope = role === undefined ? [] : withinRole(approved.scope, role);
  if (scope.length === 0) {
    const message = "Your role may do nothing of what you have ticked. Ask whoever runs Pincer for another.";
    return problemPage(403, "There is nothing to allow", message, headers);
  }
  await arrival.keep();
  const [{ redirectTo }] = await Promise.all([
    oauth.completeAuthorization({
      request: approved,
      userId: person.userId,
      metadata: { session: sessionId } satisfies GrantMetadata,
      scope,
      props: person.owner,
    }),
    people.remember(person),
  ]);
  headers.set("Location", redirectTo);
  return new Response(null, { status: 302, headers });
}
