import type { OAuthHelpers } from "@cloudflare/workers-oauth-provider";
import type { Log } from "../servers/core/log.ts";
import { type AccountSessions, type SignInTarget, type Visitor, signInTarget } from "./account-session.ts";
import { problemPage, refusalPage } from "./consent.ts";
import { GiverUnknown, keepSession } from "./giver.ts";
import { withHead } from "./head.ts";
import type { HoldingsKeeper } from "./holdings.ts";
import type { Identity, Refused, Upstream } from "./identity.ts";
import { readForm } from "./page-form.ts";
import type { People } from "./people.ts";
import { isSameSecret } from "./secrets.ts";
import { problemWithCode } from "./sign-in-code.ts";
import type { PreviewWay } from "./preview-way.ts";
import { signInPage } from "./sign-in-page.ts";
import type { PersonalTokens } from "./tokens.ts";
import { goUpstream } from "./upstream-way.ts";

/** A request of somebody who is signed in to their pages. */
export interface Visit {
  readonly request: Request;
  readonly visitor: Visitor;
  /** Who the visitor is by now, for what lasts; nothing where they are out. Rejects where nobody can say. */
  readonly stillIn: () => Promise<Visitor | undefined>;
  /** What came with a POST. It comes from a page of this very session. */
  readonly form?: URLSearchParams;
  readonly people: People;
  readonly holdings: HoldingsKeeper;
  readonly tokens: PersonalTokens;
  readonly maxTokenDays: number;
  readonly log: Log;
}

/** What is behind the sign-in, at `/account` and `/admin` and below; what a visitor may see of it is for them to say. */
export type Pages = (visit: Visit) => Promise<Response>;

interface AccountOptions {
  readonly publicUrl: string;
  readonly identity: Identity;
  readonly sessions: AccountSessions;
  readonly tokens: PersonalTokens;
  readonly pages: Pages;
  readonly previews: PreviewWay;
  readonly log: Log;
  readonly now: () => Date;
}

interface AccountStores {
  readonly oauth: OAuthHelpers;
  readonly people: People;
  readonly holdings: HoldingsKeeper;
}

type Arrival = AccountOptions & AccountStores & { readonly request: Request };

/**
 * The way to `/account` and `/admin`, plain pages with forms. Whoever is not signed in is shown how to, and every form
 * carries the key of its session.
 */
export function createAccountRoutes(
  options: AccountOptions,
): (request: Request, stores: AccountStores) => Promise<Response> {
  return async (received, stores) =>
    await withHead(received, async (request) => {
      try {
        return await answer({ ...options, ...stores, request });
      } catch (failure) {
        if (!(failure instanceof GiverUnknown)) throw failure;
        return problemPage(503, "Try again in a minute", failure.message);
      }
    });
}

async function answer(arrival: Arrival): Promise<Response> {
  const { request, sessions, pages } = arrival;
  switch (`${request.method} ${new URL(request.url).pathname}`) {
    case "GET /account/preview":
      return await openPreview(arrival);
    case "POST /account/sign-in":
      return await signIn(arrival);
    case "POST /account/sign-out":
      return await takeForm(arrival, async () => seeOther("/account", await sessions.end(request)));
  }
  if (request.method === "POST") {
    return await takeForm(arrival, async (form, visitor) => await pages({ ...visitOf(arrival, visitor), form }));
  }
  if (request.method !== "GET") return neitherPageNorForm();
  const visitor = await sessions.find(request);
  const { pathname, search } = new URL(request.url);
  const page = signInTarget.safeParse(pathname + search).data ?? targetIn(pathname);
  return visitor === undefined ? await offerSignIn(page, arrival) : await pages(visitOf(arrival, visitor));
}

function visitOf(arrival: Arrival, visitor: Visitor): Visit {
  const { request, sessions, people, holdings, identity, log } = arrival;
  const stillIn = async (): Promise<Visitor | undefined> => await sessions.find(request);
  const tokens: PersonalTokens = {
    ...arrival.tokens,
    create: async (person, order) => {
      // The token lives by the session of this page.
      await keepSession(identity, visitor.person);
      return await arrival.tokens.create(person, order);
    },
  };
  return { request, visitor, stillIn, people, holdings, tokens, maxTokenDays: identity.maxTokenDays, log };
}

async function openPreview(arrival: Arrival): Promise<Response> {
  const { request, sessions, previews } = arrival;
  const asked = await previews.read(request);
  if (asked === undefined) return notThere();
  const visitor = await sessions.find(request);
  if (visitor === undefined) return await offerSignIn(asked.page, arrival);
  return (await previews.letIn(asked, visitor.person.userId)) ?? notThere();
}

async function offerSignIn(page: SignInTarget, arrival: Arrival): Promise<Response> {
  const { request, identity } = arrival;
  const identified = await identity.identify(request);
  if (identified.kind === "refused") return refuse(identified, arrival);
  const { asksForCode } = identity;
  const known = identified.kind === "person" ? { person: identified.person } : {};
  return signInPage({ page, asksForCode, ...known });
}

function notThere(): Response {
  return problemPage(404, "There is no such preview", "It was never there, was withdrawn, or is not yours.");
}

function refuse(refused: Refused, { log }: Arrival): Response {
  log.info("sign-in refused", { reason: refused.reason });
  return refusalPage(refused);
}

async function signIn(arrival: Arrival): Promise<Response> {
  const { request, publicUrl, identity, oauth, sessions, people } = arrival;
  const form = await readForm(request, publicUrl);
  if (form === undefined) return strangeForm();
  const page = targetIn(form.get("page"));
  const identified = await identity.identify(request);
  if (identified.kind === "refused") return refuse(identified, arrival);
  if (identified.kind === "upstream") return await leaveFor(identified.upstream, page, oauth);
  const { person } = identified;
  const problem = await problemWithCode(form, person, arrival);
  if (problem !== undefined) return signInPage({ page, person, asksForCode: identity.asksForCode, problem });
  const [cookie] = await Promise.all([sessions.begin(person), people.remember(person)]);
  return seeOther(page, cookie);
}

/** Where to go on after signing in. */
function targetIn(asked: string | null): SignInTarget {
  return signInTarget.catch("/account").parse(asked);
}

async function leaveFor(upstream: Upstream, page: SignInTarget, oauth: OAuthHelpers): Promise<Response> {
  return await goUpstream({ kind: "page", page }, oauth, upstream, new Headers());
}

/** Hands on a form that comes from a page of this very session. */
async function takeForm(
  { request, publicUrl, sessions }: Arrival,
  handle: (form: URLSearchParams, visitor: Visitor) => Promise<Response>,
): Promise<Response> {
  const form = await readForm(request, publicUrl);
  if (form === undefined) return strangeForm();
  const visitor = await sessions.find(request);
  if (visitor === undefined) return seeOther("/account");
  if (!(await isSameSecret(form.get("key") ?? "", visitor.formKey))) return strangeForm();
  return await handle(form, visitor);
}

function neitherPageNorForm(): Response {
  const headers = new Headers({ Allow: "GET, HEAD, POST" });
  return problemPage(405, "This cannot go on", "Pages are opened, and forms are sent.", headers);
}

function strangeForm(): Response {
  return problemPage(403, "This cannot go on", "The form did not come from this page. Open /account and start again.");
}

export function seeOther(path: string, cookie?: string): Response {
  const headers = new Headers({ Location: path, "Cache-Control": "no-store" });
  if (cookie !== undefined) headers.set("Set-Cookie", cookie);
  return new Response(null, { status: 303, headers });
}
