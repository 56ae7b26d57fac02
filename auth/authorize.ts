import { type AuthRequest, AuthorizationError, type OAuthHelpers } from "@cloudflare/workers-oauth-provider";
import type { Log } from "../servers/core/log.ts";
import { readText } from "../servers/shared/read-text.ts";
import { type Problem, consentPage, problemPage } from "./consent.ts";
import type { Identity, Person, Upstream } from "./identity.ts";
import { type Offer, grantOf, offerFor } from "./policy.ts";
import { CALLBACK_ROUTE } from "./upstream-settings.ts";
import { comeBackFromUpstream, goUpstream } from "./upstream-way.ts";
import { type Scope, isScope } from "./scopes.ts";

const MAX_FORM_BYTES = 16_384;

interface AuthorizeOptions {
  readonly publicUrl: string;
  readonly identity: Identity;
  readonly log: Log;
  readonly now: () => Date;
}

/**
 * `/authorize`: the consent page and its answer, and the way back from an upstream provider. The authorization request
 * stays on the server in between; the form carries a handle that works once, in the browser whose cookie matches it.
 * Nothing is approved without a press of the button, and no error is redirected: anybody may register a client with any
 * address.
 */
export function createAuthorizeRoute(
  options: AuthorizeOptions,
): (request: Request, oauth: OAuthHelpers) => Promise<Response> {
  const { identity, log } = options;
  return async (request, oauth) => {
    if (request.method !== "GET" && request.method !== "POST") {
      return new Response(null, { status: 405, headers: { Allow: "GET, POST" } });
    }
    try {
      if (new URL(request.url).pathname === CALLBACK_ROUTE) return await comeBackFromUpstream(request, oauth, options);
      const identified = await identity.identify(request);
      if (identified.kind === "refused") {
        log.info("sign-in refused", { reason: identified.reason });
        return problemPage(403, "You are not signed in", identified.message);
      }
      const giver = identified.kind === "person" ? identified.person : identified.upstream;
      const handle = request.method === "GET" ? showConsent : decide;
      return await handle(request, oauth, giver, options);
    } catch (failure) {
      if (!(failure instanceof AuthorizationError)) throw failure;
      log.info("authorization refused", { code: failure.code });
      return problemPage(
        400,
        "This sign-in cannot go on",
        `${failure.description}. Go back to the app and start again.`,
      );
    }
  };
}

/** Who is to give the grant: a person, or whoever the upstream provider says it is, after consent. */
type Giver = Person | Upstream;

async function showConsent(
  request: Request,
  oauth: OAuthHelpers,
  giver: Giver,
  options: AuthorizeOptions,
): Promise<Response> {
  const asked = await oauth.parseAuthRequest(request);
  // The library lets confidential clients go without (OAuth 2.1 §7.5.1 does not).
  if (asked.codeChallenge === undefined) {
    return problemPage(
      400,
      "This sign-in cannot go on",
      "The app does not use PKCE (S256). Update it, or tell its makers.",
    );
  }
  const offer = offerOf(asked, giver, options);
  if (offer.scopes.length === 0) {
    return problemPage(
      403,
      "There is nothing to allow",
      "The app asks for what this server does not offer, or what you may not grant.",
    );
  }
  return await ask(asked, oauth, giver, options, { offer, ticked: offer.ticked });
}

async function ask(
  asked: AuthRequest,
  oauth: OAuthHelpers,
  giver: Giver,
  { identity }: AuthorizeOptions,
  page: {
    readonly offer: Offer;
    readonly ticked: readonly Scope[];
    readonly problem?: Problem;
    readonly headers?: Headers;
  },
): Promise<Response> {
  const { headers: earlier = new Headers(), ...rest } = page;
  const client = await oauth.describeConsent(asked);
  const consent = await oauth.beginConsent(asked);
  for (const cookie of earlier.getSetCookie()) consent.headers.append("Set-Cookie", cookie);
  return consentPage(
    {
      ...rest,
      client,
      handle: consent.handle,
      resource: resourceOf(asked),
      person: isPerson(giver) ? giver.displayName : "You, as Cloudflare Access knows you: it is asked next",
      asksForCode: identity.asksForCode,
    },
    consent.headers,
  );
}

async function decide(
  request: Request,
  oauth: OAuthHelpers,
  giver: Giver,
  options: AuthorizeOptions,
): Promise<Response> {
  const form = await readForm(request, options.publicUrl);
  if (form === undefined) return problemPage(403, "This sign-in cannot go on", "The form did not come from this page.");
  const handle = form.get("handle") ?? "";
  if (form.get("decision") !== "allow") {
    const denied = await oauth.denyConsent(request, handle);
    return new Response(null, { status: 302, headers: denied.headers });
  }
  // Uses the handle up: each guess at the code needs a page of its own.
  const { request: asked, headers } = await oauth.approveConsent(request, handle);
  const offer = offerOf(asked, giver, options);
  const ticked = form.getAll("scope").filter(isScope);
  const scope = grantOf(ticked, offer);
  const problem = await problemWith(form, scope, giver, options);
  if (problem !== undefined) {
    return await ask(asked, oauth, giver, options, { offer, ticked, problem, headers });
  }
  if (!isPerson(giver)) return await goUpstream({ ...asked, scope }, oauth, giver, headers);
  const { redirectTo } = await oauth.completeAuthorization({
    request: asked,
    userId: giver.userId,
    metadata: {},
    scope,
    props: giver.owner,
  });
  headers.set("Location", redirectTo);
  return new Response(null, { status: 302, headers });
}

/** Nothing where the grant may be made. The code is asked last, so that a slip elsewhere costs no attempt. */
async function problemWith(
  form: URLSearchParams,
  grant: readonly Scope[],
  giver: Giver,
  { identity, log, now }: AuthorizeOptions,
): Promise<Problem | undefined> {
  if (grant.length === 0) {
    return { status: 400, message: "Tick at least one thing that the app may do, or press Deny.", isAboutCode: false };
  }
  if (!isPerson(giver)) return undefined;
  const proof = await identity.prove(giver, (form.get("code") ?? "").slice(0, 64));
  switch (proof.kind) {
    case "proven":
      return undefined;
    case "wrong-code":
      log.info("wrong sign-in code");
      return {
        status: 403,
        message: "That is not the sign-in code. Look at the terminal and try again.",
        isAboutCode: true,
      };
    case "locked": {
      const minutes = Math.max(1, Math.ceil((proof.retryAtMs - now().getTime()) / 60_000));
      log.info("sign-in locked");
      const message = `Too many wrong codes. Wait ${minutes} ${minutes === 1 ? "minute" : "minutes"}, then try again.`;
      return { status: 429, message, isAboutCode: true };
    }
  }
}

/** The form, where it comes from our own page. The handle's cookie guards it too; this says so earlier. */
async function readForm(request: Request, publicUrl: string): Promise<URLSearchParams | undefined> {
  const origin = request.headers.get("Origin");
  const site = request.headers.get("Sec-Fetch-Site");
  if (origin !== null && origin !== publicUrl) return undefined;
  if (site !== null && site !== "same-origin") return undefined;
  const type = request.headers.get("Content-Type")?.split(";")[0]?.trim().toLowerCase();
  if (type !== "application/x-www-form-urlencoded") return undefined;
  const body = await readText(request.body, MAX_FORM_BYTES);
  return body === undefined ? undefined : new URLSearchParams(body);
}

function isPerson(giver: Giver): giver is Person {
  return "userId" in giver;
}

/** Whoever comes from upstream is offered all that anybody may have: their role narrows it once it is known. */
function offerOf(asked: AuthRequest, giver: Giver, { identity }: AuthorizeOptions): Offer {
  const role = isPerson(giver) ? identity.roleOf(giver.owner) : "admin";
  if (role === undefined) throw new Error("An identified person has no role.");
  return offerFor(asked.scope, new URL(resourceOf(asked)).pathname, role);
}

function resourceOf({ resource }: AuthRequest): string {
  if (resource === undefined) throw new Error("A parsed authorization request has no resource.");
  return resource;
}
