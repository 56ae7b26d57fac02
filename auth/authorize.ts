import { type AuthRequest, AuthorizationError, type OAuthHelpers } from "@cloudflare/workers-oauth-provider";
import type { Log } from "../servers/core/log.ts";
import type { Settings } from "../servers/shared/settings.ts";
import type { AccountSessions } from "./account-session.ts";
import { ClientDocumentError, isDocumentUrl } from "./client-documents.ts";
import { type Voucher, consentPage, problemPage } from "./consent.ts";
import { plainName } from "./html.ts";
import type { Identity, Person, Upstream } from "./identity.ts";
import { readForm } from "./page-form.ts";
import type { People } from "./people.ts";
import { type Offer, grantOf, offerFor } from "./policy.ts";
import { judgeRedirect } from "./redirects.ts";
import { CALLBACK_ROUTE } from "./upstream-settings.ts";
import { comeBackFromUpstream, goUpstream } from "./upstream-way.ts";
import { type Scope, isScope } from "./scopes.ts";
import { type Problem, problemWithCode } from "./sign-in-code.ts";

/** What a person left out last time, in their Durable Object. */
export interface ConsentMemory {
  rememberConsent(consent: {
    readonly clientId: string;
    readonly resource: string;
    readonly leftOut: readonly Scope[];
    readonly nowMs: number;
  }): Promise<void>;
  scopesLeftOut(clientId: string, resource: string): Promise<Scope[]>;
}

interface AuthorizeOptions {
  readonly publicUrl: string;
  readonly settings: Pick<Settings, "PREREGISTERED_CLIENTS" | "REDIRECT_URIS">;
  readonly identity: Identity;
  readonly memory: (userId: string) => ConsentMemory;
  readonly sessions: AccountSessions;
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
): (request: Request, oauth: OAuthHelpers, people: People) => Promise<Response> {
  const { identity, log } = options;
  return async (request, oauth, people) => {
    if (request.method !== "GET" && request.method !== "POST") {
      return new Response(null, { status: 405, headers: { Allow: "GET, POST" } });
    }
    try {
      if (new URL(request.url).pathname === CALLBACK_ROUTE)
        return await comeBackFromUpstream(request, oauth, { ...options, people });
      const identified = await identity.identify(request);
      if (identified.kind === "refused") {
        log.info("sign-in refused", { reason: identified.reason });
        return problemPage(403, "You are not signed in", identified.message);
      }
      const giver = identified.kind === "person" ? identified.person : identified.upstream;
      if (request.method === "GET") return await showConsent(request, oauth, giver, options);
      return await decide(request, oauth, giver, { ...options, people });
    } catch (failure) {
      const reason = reasonOf(failure);
      if (reason === undefined) throw failure;
      log.info("authorization refused", { code: reason.code });
      return problemPage(400, CANNOT_GO_ON, `${reason.message}. Go back to the app and start again.`);
    }
  };
}

/** Who is to give the grant: a person, or whoever the upstream provider says it is, after consent. */
type Giver = Person | Upstream;
const CANNOT_GO_ON = "This sign-in cannot go on";
/** Registrations end when nobody uses them. */
const UNKNOWN_CLIENT =
  "Pincer does not know the app, or has forgotten it since. Remove the connection in the app, and add it again.";

/** Why the request is refused; nothing for a defect. */
function reasonOf(failure: unknown): { readonly code: string; readonly message: string } | undefined {
  if (failure instanceof AuthorizationError) return { code: failure.code, message: failure.description };
  if (failure instanceof ClientDocumentError) return { code: "client_document", message: failure.message };
  return undefined;
}

async function showConsent(
  request: Request,
  oauth: OAuthHelpers,
  giver: Giver,
  options: AuthorizeOptions,
): Promise<Response> {
  const clientId = new URL(request.url).searchParams.get("client_id") ?? "";
  if (clientId !== "" && (await oauth.lookupClient(clientId)) === null) {
    return problemPage(400, CANNOT_GO_ON, UNKNOWN_CLIENT);
  }
  const asked = await oauth.parseAuthRequest(request);
  // The library lets confidential clients go without (OAuth 2.1 §7.5.1 does not).
  if (asked.codeChallenge === undefined) {
    return problemPage(400, CANNOT_GO_ON, "The app does not use PKCE (S256). Update it, or tell its makers.");
  }
  if (!mayReturn(asked, options)) {
    return problemPage(400, CANNOT_GO_ON, strangeAddress(asked.redirectUri));
  }
  const offer = offerOf(asked, giver, options);
  if (offer.scopes.length === 0) {
    return problemPage(
      403,
      "There is nothing to allow",
      "The app asks for what this server does not offer, or what you may not grant.",
    );
  }
  const leftOut = await leftOutLastTime(asked, giver, options);
  const ticked = offer.ticked.filter((scope) => !leftOut.includes(scope));
  return await ask(asked, oauth, giver, options, { offer, ticked, leftOut });
}

/** Who signs in upstream is known after consent alone. */
async function leftOutLastTime(
  asked: AuthRequest,
  giver: Giver,
  { memory }: AuthorizeOptions,
): Promise<readonly Scope[]> {
  return isPerson(giver) ? await memory(giver.userId).scopesLeftOut(asked.clientId, resourceOf(asked)) : [];
}

/** Whoever wrote a client into the settings has decided on its addresses. */
function mayReturn({ clientId, redirectUri }: AuthRequest, options: AuthorizeOptions): boolean {
  return isPreregistered(clientId, options) || judgeRedirect(redirectUri, options.settings.REDIRECT_URIS) === "allowed";
}

function isPreregistered(clientId: string, { settings }: AuthorizeOptions): boolean {
  return Object.hasOwn(settings.PREREGISTERED_CLIENTS, clientId);
}

function strangeAddress(redirectUri: string): string {
  const shown = plainName(redirectUri, 120);
  return `The app wants its access sent to ${shown}, which Pincer does not know. If you trust whoever is there, have that address listed in REDIRECT_URIS.`;
}

async function ask(
  asked: AuthRequest,
  oauth: OAuthHelpers,
  giver: Giver,
  options: AuthorizeOptions,
  page: {
    readonly offer: Offer;
    readonly ticked: readonly Scope[];
    readonly leftOut: readonly Scope[];
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
      voucher: voucherOf(asked.clientId, options),
      handle: consent.handle,
      resource: resourceOf(asked),
      person: isPerson(giver) ? giver.displayName : "You, as Cloudflare Access knows you: it is asked next",
      asksForCode: options.identity.asksForCode,
    },
    consent.headers,
  );
}

function voucherOf(clientId: string, options: AuthorizeOptions): Voucher {
  if (isPreregistered(clientId, options)) return { kind: "operator" };
  return isDocumentUrl(clientId) ? { kind: "host", host: new URL(clientId).host } : { kind: "nobody" };
}

async function decide(
  request: Request,
  oauth: OAuthHelpers,
  giver: Giver,
  options: AuthorizeOptions & { readonly people: People },
): Promise<Response> {
  const form = await readForm(request, options.publicUrl);
  if (form === undefined) return problemPage(403, CANNOT_GO_ON, "The form did not come from this page.");
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
    return await ask(asked, oauth, giver, options, { offer, ticked, leftOut: [], problem, headers });
  }
  if (!isPerson(giver)) return await goUpstream({ kind: "grant", request: { ...asked, scope } }, oauth, giver, headers);
  const [{ redirectTo }] = await Promise.all([
    oauth.completeAuthorization({ request: asked, userId: giver.userId, metadata: {}, scope, props: giver.owner }),
    options.people.remember(giver),
  ]);
  await options.memory(giver.userId).rememberConsent({
    clientId: asked.clientId,
    resource: resourceOf(asked),
    leftOut: offer.scopes.filter((offered) => !scope.includes(offered)),
    nowMs: options.now().getTime(),
  });
  headers.set("Location", redirectTo);
  return new Response(null, { status: 302, headers });
}

/** Nothing where the grant may be made. The code is asked last, so that a slip elsewhere costs no attempt. */
async function problemWith(
  form: URLSearchParams,
  grant: readonly Scope[],
  giver: Giver,
  options: AuthorizeOptions,
): Promise<Problem | undefined> {
  if (grant.length === 0) {
    return { status: 400, message: "Tick at least one thing that the app may do, or press Deny.", isAboutCode: false };
  }
  if (!isPerson(giver)) return undefined;
  return await problemWithCode(form, giver, options);
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
