import { reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, test } from "vitest";
import { Visit, comeBack } from "./account-suite.ts";
import { type Suite, callerOf, signIn } from "./auth-suite.ts";
import { assertion, startAccess, withAssertion } from "./access-suite.ts";
import { signInUpstream, startOidcSuite } from "./oidc-suite.ts";

afterEach(async () => {
  await reset();
});

const MINUTE_MS = 60_000;
const refused = (error: string) => (): Response => Response.json({ error }, { status: 400 });

type HeadersOf = (name: string) => Promise<Record<string, string>>;

/** Ann and the boss, each at a browser that Access lets through. */
async function startEdge(): Promise<{ suite: Suite; ann: Visit; boss: Visit; headersOf: HeadersOf }> {
  const { suite, keys } = await startAccess();
  const headersOf = async (name: string): Promise<Record<string, string>> =>
    withAssertion(
      await assertion({ email: `${name}@example.com` })
        .setSubject(name)
        .sign(keys.privateKey),
    );
  const ann = new Visit(suite, await headersOf("ann"));
  const boss = new Visit(suite, await headersOf("boss"));
  return { suite, ann, boss, headersOf };
}

test("behind Access a person presses a button, and makes tokens of at most a day", async () => {
  const { suite, ann, headersOf } = await startEdge();
  expect((await ann.read()).text).toContain("ann@example.com");
  expect((await ann.signIn()).status).toBe(303);
  const { text, key } = await ann.read();
  expect(text).toContain("1 day");
  expect(text).not.toContain("7 days");
  const long = await ann.post("/account/tokens", { key, name: "ci", days: "7", scope: "files:read" });
  expect(long.status).toBe(400);
  const token = await ann.makeToken({ scopes: ["files:read", "admin"] });
  const { access_token: granted } = await signIn(suite, {}, await headersOf("ann"));
  const person = await callerOf(suite, "/mcp", granted);
  expect(await callerOf(suite, "/mcp", token)).toEqual({
    userId: person?.userId,
    role: "member",
    scopes: ["files:read"],
    clientId: expect.stringMatching(/^token:/),
  });
});

test("without an assertion, or with another person's, a session is nobody's", async () => {
  const { suite, ann, headersOf } = await startEdge();
  await ann.signIn();
  expect((await new Visit(suite).get("/account", ann.cookie)).status).toBe(403);
  const bob = await new Visit(suite, await headersOf("bob")).get("/account", ann.cookie);
  expect(await bob.text()).toContain("Sign in to Pincer");
});

test("another person's grant or token is not revoked by its id", async () => {
  const { suite, ann, boss, headersOf } = await startEdge();
  await boss.signIn();
  const token = await boss.makeToken({ scopes: ["files:read"] });
  const { access_token: granted } = await signIn(suite, {}, await headersOf("boss"));
  const { ids } = await boss.read();
  expect(ids).toHaveLength(2);
  await ann.signIn();
  const { key } = await ann.read();
  const bossId = granted.split(":")[0] ?? "";
  for (const kind of ["grant", "token"]) {
    for (const id of [...ids, ...ids.map((id) => `${bossId}:${id}`)]) {
      expect((await ann.post("/account/revoke", { key, kind, id, user: bossId })).status).toBe(404);
      expect((await ann.post(`/admin/people/${bossId}/revoke`, { key, kind, id })).status).toBe(403);
    }
  }
  expect(await callerOf(suite, "/mcp", token)).toBeDefined();
  expect(await callerOf(suite, "/mcp", granted)).toBeDefined();
  expect((await boss.read()).ids).toEqual(ids);
});

test("an admin sees everybody and revokes what is theirs; nobody else is shown the page", async () => {
  const { suite, ann, boss, headersOf } = await startEdge();
  await ann.signIn("/admin");
  const { access_token: granted } = await signIn(suite, {}, await headersOf("ann"));
  const refusedPage = await ann.read("/admin");
  expect(refusedPage.status).toBe(403);
  expect(refusedPage.text).not.toContain("@example.com");
  expect((await ann.read()).text).not.toContain("/admin");
  await boss.signIn("/admin");
  const { text } = await boss.read("/admin/people");
  for (const words of ["ann@example.com", "boss@example.com"]) expect(text).toContain(words);
  const base = `/admin/people/${granted.split(":")[0] ?? ""}`;
  const apps = await boss.read(`${base}/apps`);
  expect(apps.text).toContain("Test client");
  const form = { key: apps.key, kind: "grant", id: apps.ids[0] ?? "" };
  expect((await boss.post(`/admin/people/${"0".repeat(32)}/revoke`, form)).status).toBe(404);
  const revoked = await boss.post(`${base}/revoke`, form);
  expect([revoked.status, revoked.headers.get("Location")]).toEqual([303, `${base}/apps?done=revoked`]);
  expect(await callerOf(suite, "/mcp", granted)).toBeUndefined();
});

test("an admin pages through many people", async () => {
  const { boss } = await startEdge();
  const directory = env.DIRECTORY.get(env.DIRECTORY.idFromName("directory"));
  for (let index = 0; index < 60; index += 1) {
    const userId = `${index}`.padStart(32, "0");
    await directory.notePerson({ userId, displayName: `person-${index}.`, role: "member" }, index);
  }
  await boss.signIn("/admin");
  const first = (await boss.read("/admin/people")).text;
  const next = /href="(\/admin\/people\?cursor=[^"]+)"/.exec(first)?.[1] ?? "";
  const second = (await boss.read(next)).text;
  for (let index = 0; index < 60; index += 1) expect(`${first}${second}`).toContain(`person-${index}.`);
});

test("a person signs in at the provider and is back at the page; the way back works in their browser alone", async () => {
  const { suite } = await startOidcSuite();
  const visit = new Visit(suite);
  expect((await visit.read("/account")).text).toContain("Cloudflare Access is asked who you are");
  const away = await visit.signIn();
  const state = new URL(away.headers.get("Location") ?? "").searchParams.get("state") ?? "";
  const stolen = await new Visit(suite).get(`/authorize/callback?code=upstream-code&state=${state}`);
  expect([stolen.status, stolen.headers.getSetCookie()]).toEqual([400, []]);
  const back = await comeBack(visit);
  expect([back.status, back.headers.get("Location")]).toEqual([302, "/account"]);
  expect((await env.OAUTH_KV.list({ prefix: "grant:" })).keys).toEqual([]);
  expect((await visit.read()).text).toContain("Signed in as somebody without an e-mail address (ann)");
});

test("who was sent by a preview goes on to it from the provider, and to no other address", async () => {
  const { suite } = await startOidcSuite();
  const preview = `/account/preview?label=${"a".repeat(32)}-${"0".repeat(30)}&to=%2Fapp%3Fx%3D1`;
  const back = await comeBack(new Visit(suite), preview);
  expect([back.status, back.headers.get("Location")]).toEqual([302, preview]);
  for (const page of [
    "https://evil.example/",
    "//evil.example/",
    `${preview}\r\nX: y`,
    "/account/preview?label=a&to=//b",
  ]) {
    expect((await comeBack(new Visit(suite), page)).headers.get("Location")).toBe("/account");
  }
});

test("the page names a person by the e-mail address that the provider gives", async () => {
  const { suite, script } = await startOidcSuite({ ADMIN_GROUPS: "it" });
  script.claims = { groups: ["it"], email: "ann@example.com" };
  await signInUpstream(suite);
  const visit = new Visit(suite);
  await comeBack(visit, "/admin");
  expect((await visit.read("/admin/people")).text).toContain("ann@example.com</a>");
  const { text, ids } = await visit.read();
  expect(text).toContain("Signed in as ann@example.com");
  expect(ids).toHaveLength(1);
});

test("a person who is no longer let in loses page, token and share links; the role of now decides", async () => {
  const { suite, script } = await startOidcSuite();
  const visit = new Visit(suite);
  await comeBack(visit);
  const token = await visit.makeToken({ scopes: ["files:read", "files:write"] });
  const caller = await callerOf(suite, "/mcp", token);
  if (caller === undefined) throw new Error("The new token is not taken.");
  expect(caller).toMatchObject({ role: "member", scopes: ["files:read", "files:write"] });
  expect(await suite.isLetIn(caller.userId, ["files:write"])).toBe(true);
  script.claims = { groups: ["guests"] };
  suite.clock.nowMs += 11 * MINUTE_MS;
  expect(await callerOf(suite, "/mcp", token)).toMatchObject({ role: "reader", scopes: ["files:read"] });
  expect(await suite.scopesNow(caller)).toEqual(["files:read"]);
  expect(await suite.isLetIn(caller.userId, ["files:write"])).toBe(false);
  script.refusal = refused("invalid_grant");
  suite.clock.nowMs += 2 * MINUTE_MS;
  expect((await visit.read()).text).toContain("Sign in to Pincer");
  suite.clock.nowMs += 9 * MINUTE_MS;
  expect(await callerOf(suite, "/mcp", token)).toBeUndefined();
  expect(await suite.scopesNow(caller)).toBeUndefined();
  expect(await suite.isLetIn(caller.userId, ["files:read"])).toBe(false);
});

test("where the provider cannot be asked, pages and tokens say to try again", async () => {
  const { suite, script } = await startOidcSuite();
  const visit = new Visit(suite);
  await comeBack(visit);
  const token = await visit.makeToken({ scopes: ["files:read"] });
  script.refusal = (): Response => new Response(null, { status: 503 });
  suite.clock.nowMs += 11 * MINUTE_MS;
  const page = await visit.get("/account");
  expect([page.status, await page.text()]).toEqual([503, expect.stringContaining("Try again in a minute")]);
  const headers = { Authorization: `Bearer ${token}` };
  const call = await suite.fetch("/mcp", { method: "POST", headers });
  expect([call.status, call.headers.get("Retry-After")]).toEqual([503, "30"]);
});
