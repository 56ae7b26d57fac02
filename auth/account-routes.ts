import type { OAuthHelpers } from "@cloudflare/workers-oauth-provider";
import * as z from "zod";
import type { Log } from "../servers/core/log.ts";
import { type News, accountPage } from "./account-page.ts";
import type { Act, ActStore } from "./acts.ts";
import {
  type AccountPath,
  type AccountSessions,
  type SignInTarget,
  type Visitor,
  signInTarget,
} from "./account-session.ts";
import { adminPage } from "./admin-page.ts";
import { problemPage } from "./consent.ts";
import { GiverUnknown } from "./giver.ts";
import type { HoldingsKeeper } from "./holdings.ts";
import type { Identity, Upstream } from "./identity.ts";
import { readForm } from "./page-form.ts";
import type { People } from "./people.ts";
import { withinRole } from "./policy.ts";
import { isSameSecret } from "./secrets.ts";
import { problemWithCode } from "./sign-in-code.ts";
import type { PreviewWay } from "./preview-way.ts";
import { signInPage } from "./sign-in-page.ts";
import type { PersonalTokens } from "./tokens.ts";
import { goUpstream } from "./upstream-way.ts";

const DAY_SECONDS = 24 * 60 * 60;
const MAX_TOKENS = 50;

interface AccountOptions {
  readonly publicUrl: string;
  readonly identity: Identity;
  readonly sessions: AccountSessions;
  readonly tokens: PersonalTokens;
  readonly accounts: (userId: string) => ActStore;
  readonly previews: PreviewWay;
  readonly log: Log;
  readonly now: () => Date;
}

interface AccountStores {
  readonly oauth: OAuthHelpers;
  readonly people: People;
  readonly holdings: HoldingsKeeper;
}

type Visit = AccountOptions & AccountStores & { readonly request: Request };

/**
 * `/account` and `/admin`, plain pages with forms. Whoever is not signed in is shown how to, and every form carries the
 * key of its session. Answers `undefined` for any other path.
 */
export function createAccountRoutes(
  options: AccountOptions,
): (request: Request, stores: AccountStores) => Promise<Response | undefined> {
  return async (request, stores) => {
    try {
      return await answer({ ...options, ...stores, request });
    } catch (failure) {
      if (!(failure instanceof GiverUnknown)) throw failure;
      return problemPage(503, "Try again in a minute", failure.message);
    }
  };
}

async function answer(visit: Visit): Promise<Response | undefined> {
  const { request } = visit;
  switch (`${request.method} ${new URL(request.url).pathname}`) {
    case "GET /account":
      return await open("/account", visit);
    case "GET /admin":
      return await open("/admin", visit);
    case "GET /account/preview":
      return await openPreview(visit);
    case "POST /account/sign-in":
      return await signIn(visit);
    case "POST /account/sign-out":
      return await takeForm(visit, async () => await signOut(visit));
    case "POST /account/tokens":
      return await takeForm(visit, async (form, visitor) => await makeToken(form, visitor, visit));
    case "POST /account/revoke":
      return await takeForm(visit, async (form, visitor) => await revokeOwn(form, visitor, visit));
    case "POST /admin/revoke":
      return await takeForm(visit, async (form, visitor) => await revokeAnybodys(form, visitor, visit));
    default:
      return undefined;
  }
}

async function open(path: AccountPath, visit: Visit): Promise<Response> {
  const { request, sessions } = visit;
  const news: News | undefined = new URL(request.url).searchParams.has("revoked") ? { kind: "revoked" } : undefined;
  const visitor = await sessions.find(request);
  if (visitor !== undefined)
    return path === "/admin" ? await showAll(visitor, visit, news) : await showOwn(visitor, visit, news);
  return await askToSignIn(path, visit);
}

async function openPreview(visit: Visit): Promise<Response> {
  const { request, sessions, previews } = visit;
  const asked = await previews.read(request);
  if (asked === undefined) return notThere();
  const visitor = await sessions.find(request);
  if (visitor === undefined) return await askToSignIn(asked.page, visit);
  return (await previews.letIn(asked, visitor.person.userId)) ?? notThere();
}

async function askToSignIn(page: SignInTarget, visit: Visit): Promise<Response> {
  const { request, identity } = visit;
  const identified = await identity.identify(request);
  if (identified.kind === "refused") return refuse(identified, visit);
  const { asksForCode } = identity;
  const known = identified.kind === "person" ? { person: identified.person } : {};
  return signInPage({ page, asksForCode, ...known });
}

function notThere(): Response {
  return problemPage(404, "There is no such preview", "It was never there, was withdrawn, or is not yours.");
}

function refuse({ reason, message }: { readonly reason: string; readonly message: string }, { log }: Visit): Response {
  log.info("sign-in refused", { reason });
  return problemPage(403, "You are not signed in", message);
}

async function showOwn(visitor: Visitor, { holdings, identity }: Visit, news?: News): Promise<Response> {
  const held = await holdings.list(visitor.person.userId);
  const { maxTokenDays } = identity;
  return accountPage({ visitor, holdings: held, maxTokenDays, ...(news === undefined ? {} : { news }) });
}

async function showAll(visitor: Visitor, visit: Visit, news?: News): Promise<Response> {
  if (visitor.role !== "admin") return notAnAdmin();
  const after = new URL(visit.request.url).searchParams.get("after") ?? undefined;
  const { people, cursor } = await visit.people.list(after);
  const held = await Promise.all(
    people.map(async (person) => ({ ...person, holdings: await visit.holdings.list(person.userId) })),
  );
  return adminPage({
    visitor,
    people: held,
    ...(cursor === undefined ? {} : { cursor }),
    ...(news === undefined ? {} : { news }),
  });
}

function notAnAdmin(): Response {
  return problemPage(403, "This page is for admins", "Ask whoever runs Pincer, or open /account for what is yours.");
}

async function signIn(visit: Visit): Promise<Response> {
  const { request, publicUrl, identity, oauth, sessions, people } = visit;
  const form = await readForm(request, publicUrl);
  if (form === undefined) return strangeForm();
  const page = signInTarget.catch("/account").parse(form.get("page"));
  const identified = await identity.identify(request);
  if (identified.kind === "refused") return refuse(identified, visit);
  if (identified.kind === "upstream") return await leaveFor(identified.upstream, page, oauth);
  const { person } = identified;
  const problem = await problemWithCode(form, person, visit);
  if (problem !== undefined) return signInPage({ page, person, asksForCode: identity.asksForCode, problem });
  const [cookie] = await Promise.all([sessions.begin(person), people.remember(person)]);
  return seeOther(page, cookie);
}

async function leaveFor(upstream: Upstream, page: SignInTarget, oauth: OAuthHelpers): Promise<Response> {
  return await goUpstream({ kind: "page", page }, oauth, upstream, new Headers());
}

async function signOut({ request, sessions }: Visit): Promise<Response> {
  return seeOther("/account", await sessions.end(request));
}

/** Hands on a form that comes from a page of this very session. */
async function takeForm(
  { request, publicUrl, sessions }: Visit,
  handle: (form: URLSearchParams, visitor: Visitor) => Promise<Response>,
): Promise<Response> {
  const form = await readForm(request, publicUrl);
  if (form === undefined) return strangeForm();
  const visitor = await sessions.find(request);
  if (visitor === undefined) return seeOther("/account");
  if (!(await isSameSecret(form.get("key") ?? "", visitor.formKey))) return strangeForm();
  return await handle(form, visitor);
}

function strangeForm(): Response {
  return problemPage(403, "This cannot go on", "The form did not come from this page. Open /account and start again.");
}

const orderSchema = z.object({ name: z.string().trim().min(1).max(100), days: z.coerce.number().int().min(1) });

async function makeToken(form: URLSearchParams, visitor: Visitor, visit: Visit): Promise<Response> {
  const { tokens, holdings, identity, log } = visit;
  const { person, role } = visitor;
  const refused = async (message: string): Promise<Response> =>
    await showOwn(visitor, visit, { kind: "problem", status: 400, message });
  const order = orderSchema.safeParse(Object.fromEntries(form));
  if (!order.success || order.data.days > identity.maxTokenDays) {
    return await refused(`Give the token a name of at most 100 characters, and at most ${identity.maxTokenDays} days.`);
  }
  const scopes = withinRole(form.getAll("scope"), role);
  if (scopes.length === 0) return await refused("Tick at least one thing that the token may do.");
  const { tokens: held } = await holdings.list(person.userId);
  if (held.length >= MAX_TOKENS) return await refused(`You have ${MAX_TOKENS} tokens; revoke one first.`);
  const { name, days } = order.data;
  const { token, stored } = await tokens.create(person, { name, scopes, expiresInSeconds: days * DAY_SECONDS });
  log.info("token made", { userId: person.userId, tokenId: stored.id });
  const what = { kind: "token", id: stored.id, scopes: stored.scopes.join(" ") };
  await recordAct(person.userId, { name: "account/token", by: "page", what }, visit);
  return await showOwn(visitor, visit, { kind: "made", token });
}

async function revokeOwn(form: URLSearchParams, visitor: Visitor, visit: Visit): Promise<Response> {
  const act = { name: "account/revoke", by: "page" } as const;
  if (await revoke(visitor.person.userId, form, act, visit)) return seeOther("/account?revoked");
  return await showOwn(visitor, visit, NOT_THERE);
}

async function revokeAnybodys(form: URLSearchParams, visitor: Visitor, visit: Visit): Promise<Response> {
  if (visitor.role !== "admin") return notAnAdmin();
  const person = await visit.people.find(form.get("user") ?? "");
  const act = { name: "admin/revoke", by: `admin:${visitor.person.userId}` } as const;
  if (person === undefined || !(await revoke(person.userId, form, act, visit))) {
    return await showAll(visitor, visit, NOT_THERE);
  }
  // Else they could make themselves another token there.
  if (person.userId !== visitor.person.userId) await visit.holdings.endPages(person.userId);
  return seeOther("/admin?revoked");
}

const NOT_THERE: News = { kind: "problem", status: 404, message: "That is not there any more; nothing was revoked." };

async function revoke(
  userId: string,
  form: URLSearchParams,
  act: Pick<Act, "name" | "by">,
  visit: Visit,
): Promise<boolean> {
  const what = { kind: form.get("kind") ?? "", id: form.get("id") ?? "" };
  if (!(await visit.holdings.revoke(userId, what))) return false;
  visit.log.info("revoked", { by: act.by, userId, ...what });
  await recordAct(userId, { ...act, what }, visit);
  return true;
}

async function recordAct(userId: string, act: Omit<Act, "atMs">, { accounts, now }: Visit): Promise<void> {
  await accounts(userId).recordAct(userId, { ...act, atMs: now().getTime() });
}

function seeOther(path: string, cookie?: string): Response {
  const headers = new Headers({ Location: path, "Cache-Control": "no-store" });
  if (cookie !== undefined) headers.set("Set-Cookie", cookie);
  return new Response(null, { status: 303, headers });
}
