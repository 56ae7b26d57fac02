import type { AuthRequest, OAuthHelpers } from "@cloudflare/workers-oauth-provider";
import * as z from "zod";
import type { Log } from "../servers/core/log.ts";
import { type AccountSessions, type SignInTarget, signInTarget } from "./account-session.ts";
import { problemPage, refusalPage } from "./consent.ts";
import type { Identity, Upstream, UpstreamArrival } from "./identity.ts";
import type { People } from "./people.ts";

interface UpstreamWayOptions {
  readonly identity: Identity;
  readonly sessions: AccountSessions;
  readonly people: People;
  readonly log: Log;
  /** Asks the person who came back what the client may do. */
  readonly consentOf: (asked: AuthRequest, arrival: UpstreamArrival, headers: Headers) => Promise<Response>;
}

/** What a browser goes upstream for: a grant that its person is asked for then, or a page of their own. */
type Errand =
  | { readonly kind: "grant"; readonly request: AuthRequest }
  | { readonly kind: "page"; readonly page: SignInTarget };

/** Kept on the server between the way there and the way back. */
const errandSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("grant"), upstream: z.unknown() }),
  z.object({ kind: z.literal("page"), page: signInTarget, upstream: z.unknown() }),
]);

/** The library keeps an authorization request with each way upstream; a page has none. */
const NO_REQUEST: AuthRequest = { responseType: "", clientId: "", redirectUri: "", scope: [], state: "" };

/**
 * Sends the browser to the upstream provider. The `state` is bound to this browser: the answer to a request that
 * somebody else began is refused. The provider may let its person in without a word, so no grant comes of that alone.
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

/** The way back: the provider's answer becomes a person, who is shown the page that they came for. */
export async function comeBackFromUpstream(
  request: Request,
  oauth: OAuthHelpers,
  options: UpstreamWayOptions,
): Promise<Response> {
  const { log } = options;
  const { upstream } = options.identity;
  if (upstream === undefined || request.method !== "GET") {
    return problemPage(404, "There is nothing here", "Go back to the app and start again.");
  }
  const { request: asked, data, headers } = await oauth.finishUpstream(request);
  const errand = errandSchema.parse(data);
  const arrival = await upstream.finish(new URL(request.url), errand.upstream);
  if (arrival.kind === "refused") {
    log.info("sign-in refused", { reason: arrival.reason });
    return refusalPage(arrival, headers);
  }
  return errand.kind === "page"
    ? await openPage(errand.page, arrival, headers, options)
    : await options.consentOf(asked, arrival, headers);
}

async function openPage(
  page: SignInTarget,
  { person, hold }: UpstreamArrival,
  headers: Headers,
  { sessions, people }: UpstreamWayOptions,
): Promise<Response> {
  // Held for longer than the page lives: what is made there has it kept.
  await hold();
  const [cookie] = await Promise.all([sessions.begin(person), people.remember(person)]);
  headers.append("Set-Cookie", cookie);
  headers.set("Location", page);
  return new Response(null, { status: 302, headers });
}
