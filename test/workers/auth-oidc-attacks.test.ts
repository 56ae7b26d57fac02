import { reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { UnsecuredJWT, exportJWK, exportSPKI, generateKeyPair, importJWK } from "jose";
import { afterEach, expect, test } from "vitest";
import {
  authorizeUrl,
  callerOf,
  codeOf,
  exchange,
  press,
  readForm,
  refresh,
  register,
  tokenAnswer,
} from "./auth-suite.ts";
import {
  CLIENT_ID,
  CLIENT_SECRET,
  ISSUER,
  type Keys,
  comeBack,
  idToken,
  leave,
  openUpstream,
  signInUpstream,
  startOidcSuite,
} from "./oidc-suite.ts";

afterEach(async () => {
  await reset();
});

type Claims = Readonly<Record<string, unknown>>;
type Forge = (claims: Claims, keys: Keys, stranger: Keys) => Promise<string>;

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const countGrants = async (): Promise<number> => (await env.OAUTH_KV.list({ prefix: "grant:" })).keys.length;
const nowSeconds = (): number => Math.floor(Date.now() / 1_000);

const FORGERIES: readonly (readonly [what: string, forge: Forge])[] = [
  ["another nonce", async (claims, { privateKey }) => await idToken({ ...claims, nonce: "n" }).sign(privateKey)],
  ["no nonce", async ({ groups }, { privateKey }) => await idToken({ groups }).sign(privateKey)],
  ["another audience", async (claims, { privateKey }) => await idToken(claims).setAudience("other").sign(privateKey)],
  [
    "several audiences and no word of who asked",
    async (claims, { privateKey }) => await idToken(claims).setAudience([CLIENT_ID, "other"]).sign(privateKey),
  ],
  [
    "another client that asked",
    async (claims, { privateKey }) => await idToken({ ...claims, azp: "other" }).sign(privateKey),
  ],
  [
    "another application of the same team as issuer",
    async (claims, { privateKey }) => await idToken(claims).setIssuer(`${ISSUER}x`).sign(privateKey),
  ],
  [
    "an expiry that has passed",
    async (claims, { privateKey }) =>
      await idToken(claims)
        .setIssuedAt(nowSeconds() - 600)
        .setExpirationTime(nowSeconds() - 60)
        .sign(privateKey),
  ],
  ["no subject", async (claims, { privateKey }) => await idToken(claims).setSubject("").sign(privateKey)],
  [
    "no signature",
    async (claims) =>
      new UnsecuredJWT({ ...claims })
        .setIssuer(ISSUER)
        .setAudience(CLIENT_ID)
        .setSubject("ann")
        .setIssuedAt()
        .setExpirationTime("5m")
        .encode(),
  ],
  [
    "HS256 with the public key",
    async (claims, { publicKey }) => await idToken(claims, { alg: "HS256" }).sign(bytes(await exportSPKI(publicKey))),
  ],
  [
    "HS256 with the client's secret",
    async (claims) => await idToken(claims, { alg: "HS256", kid: undefined }).sign(bytes(CLIENT_SECRET.repeat(2))),
  ],
  [
    "another algorithm of the issuer's own key",
    async (claims, { privateKey }) => {
      const key = await importJWK(await exportJWK(privateKey), "PS256");
      return await idToken(claims, { alg: "PS256" }).sign(key);
    },
  ],
  ["an unknown kid", async (claims, { privateKey }) => await idToken(claims, { kid: "k2" }).sign(privateKey)],
  ["another key under our kid", async (claims, _keys, { privateKey }) => await idToken(claims).sign(privateKey)],
  [
    "its own key in the header",
    async (claims, _keys, { privateKey, publicKey }) =>
      await idToken(claims, { jwk: await exportJWK(publicKey) }).sign(privateKey),
  ],
];

test.each(FORGERIES)("an id token with %s lets nobody in", async (_what, forge) => {
  const { suite, script } = await startOidcSuite();
  const stranger = await generateKeyPair("RS256", { extractable: true });
  script.idToken = async (claims) => await forge(claims, script.keys, stranger);
  const page = await comeBack(suite, await register(suite));
  expect(page.status).toBe(403);
  expect(await page.text()).toContain("Cloudflare Access did not let you in.");
  expect(page.headers.get("Location")).toBeNull();
  expect((await env.OAUTH_KV.list({ prefix: "grant:" })).keys).toEqual([]);
});

test("an id token with neither of these lets its person in", async () => {
  const { suite } = await startOidcSuite();
  const { client, code } = await signInUpstream(suite);
  const answer = tokenAnswer.parse(await (await exchange(suite, client, code)).json());
  expect(await callerOf(suite, "/mcp", answer.access_token)).toMatchObject({ role: "member" });
});

test("userinfo of another person is not believed", async () => {
  const { suite, script } = await startOidcSuite();
  script.claims = {};
  script.userinfo = () => Response.json({ sub: "bob", groups: ["staff"] });
  expect((await comeBack(suite, await register(suite))).status).toBe(403);
});

test("no tokens without an id token let anybody in", async () => {
  const { suite, script } = await startOidcSuite();
  script.refusal = () => Response.json({ access_token: "upstream-access", refresh_token: "upstream-refresh" });
  expect((await comeBack(suite, await register(suite))).status).toBe(403);
});

test("an answer of another issuer, an error or no code at all lead to no token request", async () => {
  const { suite, script } = await startOidcSuite();
  const answers = [{ iss: "https://evil.example" }, { error: "access_denied" }, { code: "" }];
  for (const answer of answers) {
    const page = await comeBack(suite, await register(suite), answer);
    expect(page.status).toBe(403);
    expect(page.headers.get("Location")).toBeNull();
  }
  expect(script.asked).toEqual([]);
  expect((await comeBack(suite, await register(suite), { iss: ISSUER })).status).toBe(200);
});

test("a provider that does not answer lets nobody in for now", async () => {
  const { suite, script } = await startOidcSuite();
  script.refusal = () => new Response(null, { status: 502 });
  const page = await comeBack(suite, await register(suite));
  expect(page.status).toBe(503);
  expect(await page.text()).toContain("try again in a minute");
});

test("what the provider says of an error is shown to nobody", async () => {
  const { suite } = await startOidcSuite();
  const error = { error: "<script>alert(1)</script>", error_description: "call 555-0100 to get in" };
  const markup = await (await comeBack(suite, await register(suite), error)).text();
  expect(markup).not.toContain("alert(1)");
  expect(markup).not.toContain("555-0100");
});

test("a state without the cookie of its browser, a made-up state and a used one are refused", async () => {
  const { suite, script } = await startOidcSuite();
  const { state } = await leave(suite, await register(suite));
  const { state: own, cookie } = await leave(suite, await register(suite));
  const back = `/authorize/callback?code=upstream-code&state=${state}`;
  expect((await suite.fetch(back)).status).toBe(400);
  expect((await suite.fetch(back, { headers: { Cookie: cookie } })).status).toBe(400);
  expect((await suite.fetch("/authorize/callback?code=c&state=made-up", { headers: { Cookie: cookie } })).status).toBe(
    400,
  );
  expect((await suite.fetch("/authorize/callback?code=c")).status).toBe(400);
  expect(script.asked).toEqual([]);
  const ownBack = `/authorize/callback?code=upstream-code&state=${own}`;
  expect((await suite.fetch(ownBack, { headers: { Cookie: cookie } })).status).toBe(200);
  expect((await suite.fetch(ownBack, { headers: { Cookie: cookie } })).status).toBe(400);
  expect(script.asked).toHaveLength(1);
});

test("PKCE and nonce go to the provider with each sign-in, and are new each time", async () => {
  const { suite, script } = await startOidcSuite();
  const { searchParams: first } = (await leave(suite, await register(suite))).url;
  const { searchParams: second } = (await leave(suite, await register(suite))).url;
  expect(Object.fromEntries(first)).toMatchObject({
    response_type: "code",
    client_id: CLIENT_ID,
    redirect_uri: "http://localhost:8717/authorize/callback",
    scope: "openid email groups",
    code_challenge_method: "S256",
  });
  for (const name of ["state", "nonce", "code_challenge"]) expect(first.get(name)).not.toBe(second.get(name));
  await comeBack(suite, await register(suite));
  expect(script.asked[0]?.get("code_verifier")).toMatch(/^[0-9a-f]{64}$/);
});

test("a client that may not sign in does not even send anybody to the provider", async () => {
  const { suite } = await startOidcSuite();
  const client = await register(suite);
  const requests = [
    await authorizeUrl({ ...client, clientId: "made-up" }),
    await authorizeUrl({ ...client, redirectUri: "https://evil.example/" }),
    (await authorizeUrl(client)).replace("code_challenge", "no_challenge"),
  ];
  for (const request of requests) {
    const page = await suite.fetch(request);
    expect([page.status, page.headers.get("Location")]).toEqual([400, null]);
  }
});

test("whom the provider lets in without a word has still allowed nothing", async () => {
  const { suite } = await startOidcSuite();
  const client = await register(suite);
  await signInUpstream(suite, client);
  const grants = await countGrants();
  const again = await comeBack(suite, client);
  expect([again.status, again.headers.get("Location")]).toEqual([200, null]);
  expect(again.headers.get("Content-Security-Policy")).toContain("frame-ancestors 'none'");
  expect((await readForm(again)).handle).not.toBe("");
  expect(await countGrants()).toBe(grants);
});

test("a consent form is good for the person that it was shown to alone", async () => {
  const { suite, script } = await startOidcSuite();
  const client = await register(suite);
  const anns = await openUpstream(suite, client);
  const annsOther = await openUpstream(suite, client);
  script.idToken = async (claims) => await idToken(claims).setSubject("bob").sign(script.keys.privateKey);
  const bobs = await openUpstream(suite, client);
  const bob = bobs.person ?? "";
  const forged = [
    anns.person ?? "",
    annsOther.person ?? "",
    bob.replace('"staff"', '"admin"'),
    `${"0".repeat(32)}${bob.slice(32)}`,
    bob.slice(32),
    "{}",
    "",
  ];
  expect(new Set([...forged, bob]).size).toBe(8);
  for (const person of forged) {
    const page = await press(suite, { ...bobs, person });
    expect([person.slice(0, 50), page.status]).toEqual([person.slice(0, 50), 403]);
  }
  // Nor does it say whom a page is shown to that another browser has open.
  expect((await press(suite, { ...anns, cookie: bobs.cookie })).status).toBe(400);
  expect(await countGrants()).toBe(0);
  expect((await press(suite, bobs)).status).toBe(302);
  expect(await countGrants()).toBe(1);
});

test("a scope that the person's role does not have is not granted, nor kept for a better role", async () => {
  const { suite, script } = await startOidcSuite();
  script.claims = { groups: ["guests"] };
  const client = await register(suite);
  const form = await openUpstream(suite, client);
  const redirect = await press(suite, form, { scopes: [...form.ticked, "sandbox:exec", "admin"] });
  const answer = tokenAnswer.parse(await (await exchange(suite, client, codeOf(redirect))).json());
  expect(answer.scope).toBe("files:read browser:read");
  script.claims = { groups: ["staff"] };
  const later = await refresh(suite, client, answer.refresh_token);
  expect(tokenAnswer.parse(await later.json()).scope).toBe("files:read browser:read");
});

test("a refresh that names another person gives them nothing", async () => {
  const { suite, script } = await startOidcSuite();
  const { client, code } = await signInUpstream(suite);
  const answer = tokenAnswer.parse(await (await exchange(suite, client, code)).json());
  script.idToken = async (claims) => await idToken(claims).setSubject("bob").sign(script.keys.privateKey);
  expect((await refresh(suite, client, answer.refresh_token)).status).toBe(503);
});
