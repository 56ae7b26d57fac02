import { reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, test } from "vitest";
import { assertion, startAccess, withAssertion } from "./access-suite.ts";
import { Visit } from "./account-suite.ts";
import { ADMIN_PROGRAMS, type Suite, signIn, startSuite } from "./auth-suite.ts";
import { startOidcSuite } from "./oidc-suite.ts";

afterEach(async () => {
  await reset();
});

async function askWith(suite: Suite, token: string): Promise<{ status: number; body: unknown }> {
  const response = await suite.fetch(ADMIN_PROGRAMS, { headers: { Authorization: `Bearer ${token}` } });
  return { status: response.status, body: await response.json() };
}

const UNKNOWN = { status: 401, body: { error: "The token is unknown, revoked or expired; make one on /account." } };
const NO_SCOPE = "The token lacks the scope admin, which only an admin's token can have.";

/** Ann, a member, at a browser that Access lets through. */
async function visitAnn(settings: Readonly<Record<string, string>> = {}): Promise<{ suite: Suite; ann: Visit }> {
  const { suite, keys } = await startAccess(settings);
  return { suite, ann: new Visit(suite, withAssertion(await assertion().sign(keys.privateKey))) };
}

test("a member's token opens nothing, though its person ticked admin", async () => {
  const { suite, ann } = await visitAnn();
  await ann.signIn();
  const token = await ann.makeToken({ scopes: ["files:read", "admin"] });
  expect(await askWith(suite, token)).toEqual({ status: 403, body: { error: NO_SCOPE } });
});

test("where nobody can be an admin, whoever tries hears which setting makes one", async () => {
  const { suite, ann } = await visitAnn({ ADMIN_EMAILS: "" });
  await ann.signIn("/admin");
  expect((await ann.read("/admin/health")).text).toContain("in ADMIN_EMAILS");
  const token = await ann.makeToken({ scopes: ["files:read"] });
  const body = { error: expect.stringContaining("in ADMIN_EMAILS") };
  expect(await askWith(suite, token)).toEqual({ status: 403, body });
});

test("an admin's personal token opens what programs of admins may where it has the scope admin, and while it holds", async () => {
  const suite = startSuite({ bindings: env });
  const visit = new Visit(suite);
  await visit.signIn();
  const token = await visit.makeToken({ scopes: ["admin"] });
  const userId = token.split("_")[1];
  expect(await askWith(suite, token)).toEqual({ status: 200, body: { userId } });
  const narrow = await visit.makeToken({ scopes: ["files:read", "sandbox:exec"] });
  expect(await askWith(suite, narrow)).toEqual({ status: 403, body: { error: NO_SCOPE } });
  for (const wrong of ["nonsense", `${token}0`, token.replace(/.$/, "x"), "x".repeat(600)]) {
    expect(await askWith(suite, wrong)).toEqual(UNKNOWN);
  }
  suite.clock.nowMs += 2 * 24 * 60 * 60 * 1_000;
  expect(await askWith(suite, token)).toEqual(UNKNOWN);
});

test("a token that comes with an admin's cookie is what counts", async () => {
  const suite = startSuite({ bindings: env });
  const visit = new Visit(suite);
  await visit.signIn();
  const headers = { Authorization: "Bearer pincer_none", Cookie: visit.cookie };
  expect((await suite.fetch(ADMIN_PROGRAMS, { headers })).status).toBe(401);
});

test("an app's token opens its endpoint and nothing of admins, whatever its scopes", async () => {
  const suite = startSuite({ bindings: env });
  const { access_token: granted } = await signIn(suite, { scope: "admin files:read" });
  expect(await askWith(suite, granted)).toEqual(UNKNOWN);
});

test("while the provider cannot be asked, an admin's token opens nothing and says so", async () => {
  const { suite, script } = await startOidcSuite({ ADMIN_GROUPS: "it" });
  script.claims = { groups: ["it"] };
  const visit = new Visit(suite);
  const away = await visit.signIn();
  const state = new URL(away.headers.get("Location") ?? "").searchParams.get("state") ?? "";
  const cookie = away.headers.getSetCookie().map((line) => line.split(";")[0] ?? "");
  await visit.get(`/authorize/callback?code=upstream-code&state=${state}`, cookie.join("; "));
  const token = await visit.makeToken({ scopes: ["admin"] });
  expect((await askWith(suite, token)).status).toBe(200);
  suite.clock.nowMs += 11 * 60 * 1_000;
  script.refusal = () => new Response(null, { status: 503 });
  expect((await askWith(suite, token)).status).toBe(503);
});
