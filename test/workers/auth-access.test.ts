import { reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { SignJWT, UnsecuredJWT, exportJWK, exportSPKI, generateKeyPair } from "jose";
import { afterEach, expect, test } from "vitest";
import {
  callerOf,
  codeOf,
  exchange,
  openConsent,
  press,
  register,
  revoke,
  signIn,
  startSuite,
  tokenAnswer,
} from "./auth-suite.ts";
import { Visit } from "./account-suite.ts";
import { AUDIENCE, CLAIMS, EDGE_SETTINGS, TEAM, assertion, startAccess, withAssertion } from "./access-suite.ts";

const HOUR_MS = 60 * 60 * 1000;

afterEach(async () => {
  await reset();
});

test("a person whom Access let in is asked for no code and gets a grant of at most a day", async () => {
  const { suite, keys, fetched } = await startAccess();
  const headers = withAssertion(await assertion().sign(keys.privateKey));
  const form = await openConsent(suite, await register(suite), {}, headers);
  expect(form.markup).toContain("ann@example.com");
  expect(form.markup).not.toContain("Sign-in code");
  const { access_token: token } = await signIn(suite, {}, headers);
  const caller = await callerOf(suite, "/mcp", token);
  expect(caller).toMatchObject({ role: "member", userId: expect.stringMatching(/^[a-z0-9]{32}$/) });
  expect(fetched).toEqual([`${TEAM}/cdn-cgi/access/certs`]);
  const { keys: grants } = await env.OAUTH_KV.list({ prefix: "grant:" });
  expect(grants).toHaveLength(1);
  const lifeSeconds = (grants[0]?.expiration ?? Infinity) - Date.now() / 1000;
  expect(lifeSeconds).toBeGreaterThan(23.9 * 60 * 60);
  expect(lifeSeconds).toBeLessThanOrEqual(24 * 60 * 60 + 1);
});

test("an e-mail in ADMIN_EMAILS is an admin, and only an admin is offered admin", async () => {
  const { suite, keys } = await startAccess();
  const boss = withAssertion(await assertion({ email: "boss@Example.com" }).sign(keys.privateKey));
  const ann = withAssertion(await assertion().sign(keys.privateKey));
  const asked = { scope: "admin files:read" };
  expect((await openConsent(suite, await register(suite), asked, boss)).offered).toEqual(["files:read", "admin"]);
  expect((await openConsent(suite, await register(suite), asked, ann)).offered).toEqual(["files:read"]);
  expect((await openConsent(suite, await register(suite), { scope: "admin" }, ann)).status).toBe(403);
  expect((await callerOf(suite, "/mcp", (await signIn(suite, {}, boss)).access_token))?.role).toBe("admin");
});

test("a ticked box that was not offered is not granted", async () => {
  const { suite, keys } = await startAccess();
  const headers = withAssertion(await assertion().sign(keys.privateKey));
  const client = await register(suite);
  const form = await openConsent(suite, client, { scope: "files:read" }, headers);
  const redirect = await press(suite, form, { headers, scopes: ["admin", "sandbox:exec", "files:read"] });
  const answer = tokenAnswer.parse(await (await exchange(suite, client, codeOf(redirect))).json());
  expect(answer.scope).toBe("files:read");
});

test("two subjects are two people, whatever their e-mail", async () => {
  const { suite, keys } = await startAccess();
  const idOf = async (subject: string): Promise<string | undefined> => {
    const jwt = await assertion().setSubject(subject).sign(keys.privateKey);
    return (await callerOf(suite, "/mcp", (await signIn(suite, {}, withAssertion(jwt))).access_token))?.userId;
  };
  const ids = [await idOf("one"), await idOf("two"), await idOf("one")];
  expect(new Set(ids).size).toBe(2);
  expect(ids[0]).toBe(ids[2]);
});

test("forged and foreign assertions are refused", async () => {
  const { suite, keys } = await startAccess();
  const stranger = await generateKeyPair("RS256", { extractable: true });
  const publicPem = new TextEncoder().encode(await exportSPKI(keys.publicKey));
  const good = await assertion().sign(keys.privateKey);
  const [head = "", body = "", signature = ""] = good.split(".");
  const promoted = btoa(JSON.stringify({ ...JSON.parse(atob(body)), email: "boss@example.com" })).replace(/=+$/, "");
  const forged: Record<string, string> = {
    "wrong audience": await assertion().setAudience(["another-app"]).sign(keys.privateKey),
    "wrong issuer": await assertion().setIssuer("https://evil.cloudflareaccess.com").sign(keys.privateKey),
    expired: await assertion()
      .setIssuedAt(Date.now() / 1000 - 7200)
      .setExpirationTime(Math.floor(Date.now() / 1000) - 60)
      .sign(keys.privateKey),
    "without expiry": await new SignJWT(CLAIMS)
      .setProtectedHeader({ alg: "RS256", kid: "k1" })
      .setIssuer(TEAM)
      .setAudience(AUDIENCE)
      .setSubject("x")
      .setIssuedAt()
      .sign(keys.privateKey),
    "not yet valid": await assertion().setNotBefore("1h").sign(keys.privateKey),
    "alg none": new UnsecuredJWT(CLAIMS)
      .setIssuer(TEAM)
      .setAudience(AUDIENCE)
      .setSubject("x")
      .setIssuedAt()
      .setExpirationTime("1h")
      .encode(),
    "HS256 with the public key": await assertion({}, { alg: "HS256" }).sign(publicPem),
    "unknown kid": await assertion({}, { kid: "k2" }).sign(keys.privateKey),
    "no kid, another key": await assertion({}, { kid: undefined }).sign(stranger.privateKey),
    "another key under our kid": await assertion().sign(stranger.privateKey),
    "own key in the header": await assertion({}, { jwk: await exportJWK(stranger.publicKey) }).sign(
      stranger.privateKey,
    ),
    "altered claims": `${head}.${promoted}.${signature}`,
    "no signature": `${head}.${body}.`,
    "service token": await assertion({ email: undefined, common_name: "abc.access" })
      .setSubject("")
      .sign(keys.privateKey),
    "service token with an e-mail": await assertion({ common_name: "abc.access" }).sign(keys.privateKey),
    "no e-mail": await assertion({ email: undefined }).sign(keys.privateKey),
    "no subject": await assertion().setSubject("").sign(keys.privateKey),
    "organisation token": await assertion({ type: "org" }).sign(keys.privateKey),
    garbage: "garbage",
  };
  const client = await register(suite);
  for (const [name, jwt] of Object.entries(forged)) {
    const page = await openConsent(suite, client, {}, withAssertion(jwt));
    expect([name, page.status, page.handle]).toEqual([name, 403, ""]);
  }
  const bareEmail = { "Cf-Access-Authenticated-User-Email": "boss@example.com" };
  expect((await openConsent(suite, client, {}, bareEmail)).status).toBe(403);
  expect((await openConsent(suite, client, {}, withAssertion(good))).status).toBe(200);
});

test("the form is refused without the assertion that the page was opened with", async () => {
  const { suite, keys } = await startAccess();
  const headers = withAssertion(await assertion().sign(keys.privateKey));
  const form = await openConsent(suite, await register(suite), {}, headers);
  expect((await press(suite, form)).status).toBe(403);
});

test("a form that another origin's page sends is refused, whoever is signed in", async () => {
  const { suite, keys } = await startAccess();
  const headers = withAssertion(await assertion().sign(keys.privateKey));
  const form = await openConsent(suite, await register(suite), {}, headers);
  for (const origin of ["https://evil.example", "null", "http://localhost:9999"]) {
    expect((await press(suite, form, { headers: { ...headers, Origin: origin } })).status).toBe(403);
  }
  expect((await press(suite, form, { headers })).status).toBe(302);
});

test("a refresh does not make a grant live longer than its day", async () => {
  const { suite, keys } = await startAccess();
  const headers = withAssertion(await assertion().sign(keys.privateKey));
  const { client, refresh_token: refreshToken } = await signIn(suite, {}, headers);
  const expiryOf = async (): Promise<number | undefined> =>
    (await env.OAUTH_KV.list({ prefix: "grant:" })).keys[0]?.expiration;
  const before = await expiryOf();
  const refreshed = await suite.fetch("/oauth/token", {
    method: "POST",
    body: new URLSearchParams({
      grant_type: "refresh_token",
      client_id: client.clientId,
      refresh_token: refreshToken,
    }),
  });
  expect(refreshed.status).toBe(200);
  expect(before).toBeDefined();
  expect(await expiryOf()).toBe(before);
});

test("where the team's keys cannot be fetched nobody gets in", async () => {
  const keys = await generateKeyPair("RS256");
  const jwt = await assertion().sign(keys.privateKey);
  const outages: (() => Promise<Response>)[] = [
    async () => await Promise.reject(new TypeError("network")),
    async () => new Response("oops", { status: 500 }),
    async () => new Response("not json"),
    async () => Response.redirect("https://evil.example/keys"),
  ];
  for (const fetch of outages) {
    const suite = startSuite({ bindings: env, settings: EDGE_SETTINGS, fetch });
    expect((await openConsent(suite, await register(suite), {}, withAssertion(jwt))).status).toBe(503);
  }
});

test("a person taken off ADMIN_EMAILS is no admin at the next call", async () => {
  const { suite, keys } = await startAccess();
  const boss = withAssertion(await assertion({ email: "boss@example.com" }).sign(keys.privateKey));
  const client = await register(suite);
  const form = await openConsent(suite, client, { scope: "admin files:read" }, boss);
  const redirect = await press(suite, form, { headers: boss, scopes: form.offered });
  const { access_token: token } = tokenAnswer.parse(await (await exchange(suite, client, codeOf(redirect))).json());
  expect(await callerOf(suite, "/mcp", token)).toMatchObject({ role: "admin", scopes: ["files:read", "admin"] });
  const demoted = startSuite({ bindings: env, settings: { ...EDGE_SETTINGS, ADMIN_EMAILS: "" } });
  expect(await callerOf(demoted, "/mcp", token)).toMatchObject({ role: "member", scopes: ["files:read"] });
});

test("a share link holds while its person has a grant, a token or an open page, and a day after sign-in not at all", async () => {
  const { suite, keys } = await startAccess();
  const headers = withAssertion(await assertion().setExpirationTime("3d").sign(keys.privateKey));
  const lets = async (userId: string): Promise<boolean> => await suite.isLetIn(userId, ["files:read"]);
  const { access_token: token, refresh_token: refreshToken, client } = await signIn(suite, {}, headers);
  const { userId = "" } = (await callerOf(suite, "/mcp", token)) ?? {};
  expect([await lets(userId), await lets("nobody")]).toEqual([true, false]);
  expect(await revoke(suite, client, refreshToken)).toBe(200);
  expect(await lets(userId)).toBe(false);

  await signIn(suite, {}, headers);
  expect(await lets(userId)).toBe(true);
  suite.clock.nowMs += 25 * HOUR_MS;
  expect(await lets(userId)).toBe(false);

  const visit = new Visit(suite, headers);
  await visit.signIn();
  expect(await lets(userId)).toBe(true);
  suite.clock.nowMs += 16 * 60_000;
  expect(await lets(userId)).toBe(false);

  await visit.signIn();
  await visit.makeToken({ scopes: ["browser:read"] });
  suite.clock.nowMs += 23 * HOUR_MS;
  expect(await lets(userId)).toBe(true);
  suite.clock.nowMs += 2 * HOUR_MS;
  expect(await lets(userId)).toBe(false);
});
