import { type AuthRequest, AuthorizationError, type OAuthHelpers } from "@cloudflare/workers-oauth-provider";
import type { Log } from "../servers/core/log.ts";
import type { Settings } from "../servers/shared/settings.ts";
import type { AccountSessions } from "./account-session.ts";
import { ClientDocumentError, type DocumentStore, isDocumentUrl, undescribedName } from "./client-documents.ts";
import { type Voucher, consentPage, problemPage, refusalPage } from "./consent.ts";
import type { ConsentPerson } from "./consent-person.ts";
import type { Endings } from "./endings.ts";
import { endSession, giverNow } from "./giver.ts";
import type { EndedGrants } from "./grants.ts";
import { plainName } from "./html.ts";
import { withHead } from "./head.ts";
import type { Identity, Person, UpstreamArrival } from "./identity.ts";
import { makeGrant } from "./new-grant.ts";
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
  readonly consentPerson: ConsentPerson;
  readonly accounts: (userId: string) => ConsentMemory & EndedGrants;
  readonly clients: () => Pick<DocumentStore, "allowDocument">;
  readonly endings: Endings;
  readonly sessions: AccountSessions;
  readonly log: Log;
  readonly now: () => Date;
}

type Route = AuthorizeOptions & { readonly oauth: OAuthHelpers; readonly people: People };

/**
 * `/authorize`: the consent page and its answer. Where an upstream provider says who it is, the browser goes there first
 * and comes back to that page. The authorization request stays on the server in between; the form carries a handle that
 * works once, in the browser whose cookie matches it. Nothing is approved without a press of the button, and no error is
 * redirected: anybody may register a client with any address.
 */
export function createAuthorizeRoute(
  options: AuthorizeOptions,
): (request: Request, oauth: OAuthHelpers, people: People) => Promise<Response> {
  return async (request, oauth, people) => {
    const route = { ...options, oauth, people };
    // The way back from a provider can be gone once, and whoever asks by HEAD does not see where it leads.
    if (new URL(request.url).pathname === CALLBACK_ROUTE) return await answerOrRefuse(request, route);
    return await withHead(request, async (asked) => await answerOrRefuse(asked, route));
  };
}

async function answerOrRefuse(request: Request, route: Route): Promise<Response> {
  try {
    return await answer(request, route);
  } catch (failure) {
    const reason = reasonOf(failure);
    if (reason === undefined) throw failure;
    route.log.info("authorization refused", { code: reason.code });
    return problemPage(400, CANNOT_GO_ON, `${reason.message}. Go back to the app and start again.`);
  }
}

async function answer(request: Request, route: Route): Promise<Response> {
  if (new URL(request.url).pathname === CALLBACK_ROUTE) {
    const consentOf = async (asked: AuthRequest, arrival: UpstreamArrival, headers: Headers): Promise<Response> =>
      await showConsent(asked, arrival.person, { ...route, headers, beforePage: arrival.hold });
    return await comeBackFromUpstream(request, route.oauth, { ...route, consentOf });
  }
  if (request.method !== "GET" && request.method !== "POST") {
    return new Response(null, { status: 405, headers: { Allow: "GET, HEAD, POST" } });
  }
  const identified = await route.identity.identify(request);
  if (identified.kind === "refused") {
    route.log.info("sign-in refused", { reason: identified.reason });
    return refusalPage(identified);
  }
  const person = identified.kind === "person" ? identified.person : undefined;
  if (request.method === "POST") return await decide(request, person, route);
  const asked = await readRequest(request, route);
  if (asked instanceof Response) return asked;
  if (identified.kind === "person") return await showConsent(asked, identified.person, route);
  return await goUpstream({ kind: "grant", request: asked }, route.oauth, identified.upstream, new Headers());
}

const CANNOT_GO_ON = "This sign-in cannot go on";
/** Registrations end when nobody uses them. */
const UNKNOWN_CLIENT =
  "Pincer does not know the app, or has forgotten it since. Remove the connection in the app, and add it again.";
const STRANGE_FORM = "The form did not come from this page.";
const TOO_LATE = "Too much time has gone by since you signed in. Go back to the app and start again.";

/** Why the request is refused; nothing for a defect. */
function reasonOf(failure: unknown): { readonly code: string; readonly message: string } | undefined {
  if (failure instanceof AuthorizationError) return { code: failure.code, message: failure.description };
  if (failure instanceof ClientDocumentError) return { code: "client_document", message: failure.message };
  return undefined;
}

/** What a client asks for, or the page that says why it may not. */
async function readRequest(request: Request, route: Route): Promise<AuthRequest | Response> {
  const { oauth } = route;
  const clientId = new URL(request.url).searchParams.get("client_id") ?? "";
  if (clientId !== "" && (await oauth.lookupClient(clientId)) === null) {
    return problemPage(400, CANNOT_GO_ON, UNKNOWN_CLIENT);
  }
  const asked = await oauth.parseAuthRequest(request);
  // The library lets confidential clients go without (OAuth 2.1 §7.5.1 does not).
  if (asked.codeChallenge === undefined) {
    return problemPage(400, CANNOT_GO_ON, "The app does not use PKCE (S256). Update it, or tell its makers.");
  }
  if (!mayReturn(asked, route)) return problemPage(400, CANNOT_GO_ON, strangeAddress(asked.redirectUri));
  return asked;
}

/** `beforePage` runs once it is known that there is something to allow. */
async function showConsent(
  asked: AuthRequest,
  person: Person,
  route: Route & { readonly headers?: Headers; readonly beforePage?: () => Promise<void> },
): Promise<Response> {
  const { headers } = route;
  const offer = offerOf(asked, person, route);
  if (offer.scopes.length === 0) {
    const message = "The app asks for what this server does not offer, or what you may not grant.";
    return problemPage(403, "There is nothing to allow", message, headers);
  }
  const [leftOut] = await Promise.all([
    route.accounts(person.userId).scopesLeftOut(asked.clientId, resourceOf(asked)),
    route.beforePage?.(),
  ]);
  const ticked = offer.ticked.filter((scope) => !leftOut.includes(scope));
  return await ask(asked, person, route, { offer, ticked, leftOut, ...(headers === undefined ? {} : { headers }) });
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
  person: Person,
  route: Route,
  page: {
    readonly offer: Offer;
    readonly ticked: readonly Scope[];
    readonly leftOut: readonly Scope[];
    readonly problem?: Problem;
    readonly headers?: Headers;
  },
): Promise<Response> {
  const { oauth, identity, consentPerson } = route;
  const { headers: earlier = new Headers(), ...rest } = page;
  const client = await oauth.describeConsent(asked);
  const { handle, headers } = await oauth.beginConsent(asked);
  for (const cookie of earlier.getSetCookie()) headers.append("Set-Cookie", cookie);
  return consentPage(
    {
      ...rest,
      client,
      voucher: voucherOf(asked.clientId, client.clientName, route),
      handle,
      resource: resourceOf(asked),
      person: person.displayName,
      asksForCode: identity.asksForCode,
      ...(identity.upstream === undefined ? {} : { personField: await consentPerson.write(person, handle) }),
    },
    headers,
  );
}

function voucherOf(clientId: string, clientName: string, options: AuthorizeOptions): Voucher {
  if (isPreregistered(clientId, options)) return { kind: "operator" };
  return isDocumentUrl(clientId) && clientName !== undescribedName(clientId)
    ? { kind: "host", host: new URL(clientId).host }
    : { kind: "nobody" };
}

/** `known` is who sends the form, where that shows; elsewhere the form says whom its page was shown to. */
async function decide(request: Request, known: Person | undefined, route: Route): Promise<Response> {
  const { oauth, identity, people, now } = route;
  const form = await readForm(request, route.publicUrl);
  const handle = form?.get("handle") ?? "";
  const person = known ?? (await route.consentPerson.read(form?.get("person") ?? "", handle));
  if (form === undefined || person === undefined) return problemPage(403, CANNOT_GO_ON, STRANGE_FORM);
  if (form.get("decision") !== "allow") {
    const denied = await oauth.denyConsent(request, handle);
    await endSession(identity, person);
    return new Response(null, { status: 302, headers: denied.headers });
  }
  // Uses the handle up: each guess at the code needs a page of its own.
  const { request: asked, headers } = await oauth.approveConsent(request, handle);
  const offer = offerOf(asked, person, route);
  const ticked = form.getAll("scope").filter(isScope);
  const scope = grantOf(ticked, offer);
  const problem = await problemWith(form, scope, person, route);
  if (problem !== undefined) {
    return await ask(asked, person, route, { offer, ticked, leftOut: [], problem, headers });
  }
  const giver = await giverNow(identity, person, Infinity);
  if (giver.kind !== "in") return problemPage(403, CANNOT_GO_ON, TOO_LATE, headers);
  const [redirectTo] = await Promise.all([makeGrant({ asked, person, scope }, route), people.remember(person)]);
  await route.accounts(person.userId).rememberConsent({
    clientId: asked.clientId,
    resource: resourceOf(asked),
    leftOut: offer.scopes.filter((offered) => !scope.includes(offered)),
    nowMs: now().getTime(),
  });
  headers.set("Location", redirectTo);
  return new Response(null, { status: 302, headers });
}

/** Nothing where the grant may be made. The code is asked last, so that a slip elsewhere costs no attempt. */
async function problemWith(
  form: URLSearchParams,
  grant: readonly Scope[],
  person: Person,
  options: AuthorizeOptions,
): Promise<Problem | undefined> {
  if (grant.length === 0) {
    return { status: 400, message: "Tick at least one thing that the app may do, or press Deny.", isAboutCode: false };
  }
  return await problemWithCode(form, person, options);
}

function offerOf(asked: AuthRequest, { owner }: Person, { identity }: AuthorizeOptions): Offer {
  const role = identity.roleOf(owner);
  if (role === undefined) throw new Error("An identified person has no role.");
  return offerFor(asked.scope, new URL(resourceOf(asked)).pathname, role);
}

function resourceOf({ resource }: AuthRequest): string {
  if (resource === undefined) throw new Error("A parsed authorization request has no resource.");
  return resource;
}
