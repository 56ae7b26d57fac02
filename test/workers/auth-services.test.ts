import { reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { type SignJWT, UnsecuredJWT, exportSPKI, generateKeyPair } from "jose";
import { afterEach, expect, test } from "vitest";
import * as z from "zod";
import type { Caller } from "../../auth/caller.ts";
import { SettingsError } from "../../servers/shared/settings.ts";
import { AUDIENCE, EDGE_SETTINGS, TEAM, assertion, startAccess, withAssertion } from "./access-suite.ts";
import { ENDPOINTS, type Suite, openConsent, register, signIn, startSuite } from "./auth-suite.ts";

afterEach(async () => {
  await reset();
});

const SERVICE_AUDIENCE = "the-tag-of-the-endpoints";
const TOKEN_ID = "88bf3b6d.access";
const SETTINGS = {
  ACCESS_SERVICE_AUDIENCE: SERVICE_AUDIENCE,
  SERVICE_TOKENS: JSON.stringify({
    [TOKEN_ID]: { name: "CI", role: "member", scopes: ["sandbox:exec"] },
    "next.access": { name: "CI", role: "member" },
    "boss.access": { name: "Boss", role: "admin" },
  }),
};

/** What Access says of a service token, in front of the endpoints. */
function vouched(tokenId: string, claims: Readonly<Record<string, unknown>> = {}): SignJWT {
  const service = { email: undefined, identity_nonce: undefined, country: undefined, common_name: tokenId };
  return assertion({ ...service, ...claims })
    .setSubject("")
    .setAudience([SERVICE_AUDIENCE]);
}

async function call(suite: Suite, headers: Readonly<Record<string, string>>, endpoint = "/mcp"): Promise<Response> {
  return await suite.fetch(endpoint, { method: "POST", headers });
}

const answer = z.object({ caller: z.looseObject({ userId: z.string(), clientId: z.string() }), expiresAt: z.number() });

test("a service token that the settings name calls every endpoint as its principal, without a bearer token", async () => {
  const { suite, keys } = await startAccess(SETTINGS);
  const headers = withAssertion(await vouched(TOKEN_ID).sign(keys.privateKey));
  for (const endpoint of ENDPOINTS) {
    const { caller, expiresAt } = answer.parse(await (await call(suite, headers, endpoint)).json());
    expect(caller).toEqual({
      userId: expect.stringMatching(/^[a-z0-9]{32}$/),
      role: "member",
      scopes: ["sandbox:exec", "files:read", "files:write"],
      clientId: `service:${TOKEN_ID}`,
    });
    expect(expiresAt).toBeLessThanOrEqual(Date.now() / 1000 + 3600);
  }
});

test("tokens of one name are one principal, no person, and have what their role has but admin", async () => {
  const { suite, keys } = await startAccess(SETTINGS);
  const callerOf = async (jwt: SignJWT) =>
    answer.parse(await (await call(suite, withAssertion(await jwt.sign(keys.privateKey)))).json()).caller;
  const [first, next] = [await callerOf(vouched(TOKEN_ID)), await callerOf(vouched("next.access"))];
  const boss = await callerOf(vouched("boss.access"));
  expect(next.userId).toBe(first.userId);
  expect(boss.userId).not.toBe(first.userId);
  expect(boss).toMatchObject({ role: "admin", scopes: expect.not.arrayContaining(["admin"]) });
});

test("what a service token may do ends for what goes on, too, once the settings no longer name it", async () => {
  const caller: Caller = {
    userId: "u".repeat(32),
    role: "member",
    scopes: ["sandbox:exec", "delegate:run"],
    clientId: `service:${TOKEN_ID}`,
  };
  const { suite } = await startAccess(SETTINGS);
  expect(await suite.scopesNow(caller)).toEqual(["sandbox:exec", "files:read", "files:write"]);
  expect(await suite.scopesNow({ ...caller, clientId: "service:other.access" })).toBeUndefined();
  expect(await (await startAccess()).suite.scopesNow(caller)).toBeUndefined();
});

test("a service's share links hold while the settings name it with what they are for", async () => {
  const { suite, keys } = await startAccess(SETTINGS);
  const headers = withAssertion(await vouched(TOKEN_ID).sign(keys.privateKey));
  const { userId } = answer.parse(await (await call(suite, headers)).json()).caller;
  expect(await suite.isLetIn(userId, ["files:write"])).toBe(true);
  const withReader = async (scopes: readonly string[]): Promise<Suite> => {
    const tokens = { [TOKEN_ID]: { name: "CI", role: "member", scopes } };
    return (await startAccess({ ...SETTINGS, SERVICE_TOKENS: JSON.stringify(tokens) })).suite;
  };
  const reading = await withReader(["files:read"]);
  expect(await reading.isLetIn(userId, ["files:read"])).toBe(true);
  expect(await reading.isLetIn(userId, ["files:write"])).toBe(false);
  const { suite: unnamed } = await startAccess();
  expect(await unnamed.isLetIn(userId, ["files:read"])).toBe(false);
});

test("forged assertions, those of people and those of unnamed tokens are answered with the challenge", async () => {
  const { suite, keys } = await startAccess(SETTINGS);
  const stranger = await generateKeyPair("RS256");
  const publicPem = new TextEncoder().encode(await exportSPKI(keys.publicKey));
  const forged: Record<string, string> = {
    "unnamed token": await vouched("other.access").sign(keys.privateKey),
    "name of a prototype": await vouched("constructor").sign(keys.privateKey),
    "audience of /authorize": await vouched(TOKEN_ID).setAudience([AUDIENCE]).sign(keys.privateKey),
    "wrong issuer": await vouched(TOKEN_ID).setIssuer("https://evil.cloudflareaccess.com").sign(keys.privateKey),
    expired: await vouched(TOKEN_ID)
      .setIssuedAt(Date.now() / 1000 - 7200)
      .setExpirationTime(Math.floor(Date.now() / 1000) - 60)
      .sign(keys.privateKey),
    "alg none": new UnsecuredJWT({ type: "app", common_name: TOKEN_ID })
      .setIssuer(TEAM)
      .setAudience(SERVICE_AUDIENCE)
      .setSubject("")
      .setIssuedAt()
      .setExpirationTime("1h")
      .encode(),
    "HS256 with the public key": await assertion({ email: undefined, common_name: TOKEN_ID }, { alg: "HS256" })
      .setSubject("")
      .setAudience([SERVICE_AUDIENCE])
      .sign(publicPem),
    "unknown kid": await assertion({ email: undefined, common_name: TOKEN_ID }, { kid: "k2" })
      .setSubject("")
      .setAudience([SERVICE_AUDIENCE])
      .sign(keys.privateKey),
    "another key under our kid": await vouched(TOKEN_ID).sign(stranger.privateKey),
    "with an e-mail": await vouched(TOKEN_ID, { email: "ann@example.com" }).sign(keys.privateKey),
    "with a subject": await vouched(TOKEN_ID).setSubject("7f1c-ann").sign(keys.privateKey),
    "organisation token": await vouched(TOKEN_ID, { type: "org" }).sign(keys.privateKey),
    "a person": await assertion().setAudience([SERVICE_AUDIENCE]).sign(keys.privateKey),
    garbage: "garbage",
  };
  for (const [name, jwt] of Object.entries(forged)) {
    const refused = await call(suite, withAssertion(jwt));
    expect([name, refused.status, refused.headers.has("WWW-Authenticate")]).toEqual([name, 401, true]);
  }
  const bareId = { "CF-Access-Client-Id": TOKEN_ID, "Cf-Access-Authenticated-User-Email": "boss@example.com" };
  expect((await call(suite, bareId)).status).toBe(401);
});

test("a bearer token beside a named service's assertion is refused, whoever's it is", async () => {
  const { suite, keys } = await startAccess(SETTINGS);
  const person = withAssertion(await assertion().sign(keys.privateKey));
  const { access_token: token } = await signIn(suite, {}, person);
  const bearer = { Authorization: `Bearer ${token}` };
  expect((await call(suite, bearer)).status).toBe(200);
  const both = { ...bearer, ...withAssertion(await vouched(TOKEN_ID).sign(keys.privateKey)) };
  const refused = await call(suite, both);
  expect([refused.status, await refused.json()]).toEqual([400, expect.objectContaining({ error: "invalid_request" })]);
  const unnamed = { ...bearer, ...withAssertion(await vouched("other.access").sign(keys.privateKey)) };
  const { caller } = answer.parse(await (await call(suite, unnamed)).json());
  expect(caller.clientId).not.toContain("service:");
});

test("without the setting a service token is nobody, and it never opens the consent page", async () => {
  const { suite, keys } = await startAccess();
  expect((await call(suite, withAssertion(await vouched(TOKEN_ID).sign(keys.privateKey)))).status).toBe(401);
  const named = await startAccess(SETTINGS);
  const jwt = await vouched(TOKEN_ID).setAudience([AUDIENCE]).sign(named.keys.privateKey);
  const page = await openConsent(named.suite, await register(named.suite), {}, withAssertion(jwt));
  expect([page.status, page.handle]).toEqual([403, ""]);
});

test("where the team's keys cannot be fetched no service gets in", async () => {
  const keys = await generateKeyPair("RS256");
  const fetch = async (): Promise<Response> => await Promise.reject(new TypeError("network"));
  const suite = startSuite({ bindings: env, settings: { ...EDGE_SETTINGS, ...SETTINGS }, fetch });
  expect((await call(suite, withAssertion(await vouched(TOKEN_ID).sign(keys.privateKey)))).status).toBe(401);
});

test.each([
  ["reader", "files:write"],
  ["member", "admin"],
  ["member", "root"],
])("a %s is not given %s by the settings", (role, scope) => {
  const tokens = JSON.stringify({ [TOKEN_ID]: { name: "CI", role, scopes: [scope] } });
  const settings = { ...EDGE_SETTINGS, ...SETTINGS, SERVICE_TOKENS: tokens };
  expect(() => startSuite({ bindings: env, settings })).toThrow(SettingsError);
});
