import { reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, test } from "vitest";
import {
  CODE,
  ENDPOINTS,
  LOCAL_SETTINGS,
  ORIGIN,
  REDIRECT,
  authorizeUrl,
  callerOf,
  codeOf,
  exchange,
  openConsent,
  press,
  readForm,
  register,
  signIn,
  startSuite,
} from "./auth-suite.ts";

afterEach(async () => {
  await reset();
});

test("a wrong code gives nothing away, and the page comes again", async () => {
  const suite = startSuite({ bindings: env });
  const refused = await press(suite, await openConsent(suite, await register(suite)), { code: "AAAA-BBBB" });
  expect(refused.status).toBe(403);
  expect(refused.headers.get("Location")).toBeNull();
  const form = await readForm(refused);
  expect(form.markup).toContain("That is not the sign-in code");
  expect(form.markup).not.toContain(CODE);
  expect((await press(suite, form)).status).toBe(302);
});

test("no code is a wrong code", async () => {
  const suite = startSuite({ bindings: env });
  expect((await press(suite, await openConsent(suite, await register(suite)), { code: "" })).status).toBe(403);
});

test("after five wrong codes the right one is refused too, for a quarter of an hour", async () => {
  const suite = startSuite({ bindings: env });
  const client = await register(suite);
  for (let guess = 1; guess <= 5; guess += 1) {
    expect((await press(suite, await openConsent(suite, client), { code: `AAAA-000${guess}` })).status).toBe(403);
  }
  const locked = await press(suite, await openConsent(suite, client));
  expect(locked.status).toBe(429);
  expect(await locked.text()).toContain("Wait 15 minutes");
  suite.clock.nowMs += 15 * 60 * 1000 + 1;
  expect((await press(suite, await openConsent(suite, client))).status).toBe(302);
});

test("the right code in between sets the count back", async () => {
  const suite = startSuite({ bindings: env });
  const client = await register(suite);
  const codes = ["A", "A", "A", "A", CODE, "A", "A", "A", "A", CODE];
  const statuses = [];
  for (const code of codes) statuses.push((await press(suite, await openConsent(suite, client), { code })).status);
  expect(statuses).toEqual([403, 403, 403, 403, 302, 403, 403, 403, 403, 302]);
});

test("of forty parallel guesses five are compared", async () => {
  const suite = startSuite({ bindings: env });
  const client = await register(suite);
  const forms = await Promise.all(Array.from({ length: 40 }, async () => await openConsent(suite, client)));
  const answers = await Promise.all(
    forms.map(async (form, index) => await press(suite, form, { code: `BAD${index}` })),
  );
  const count = (status: number): number => answers.filter((answer) => answer.status === status).length;
  expect([count(403), count(429)]).toEqual([5, 35]);
});

test("a code of dashes, which would match no code at all, stops the Worker", () => {
  const settings = { ...LOCAL_SETTINGS, LOCAL_SIGN_IN_CODE: "---- ----" };
  expect(() => startSuite({ bindings: env, settings })).toThrow("needs at least 8 letters and digits");
});

test("a code printed anew starts with a clean slate", async () => {
  const suite = startSuite({ bindings: env });
  const client = await register(suite);
  for (let guess = 0; guess < 5; guess += 1) await press(suite, await openConsent(suite, client), { code: "WRONG" });
  const restarted = startSuite({ bindings: env, settings: { ...LOCAL_SETTINGS, LOCAL_SIGN_IN_CODE: "NEWC-ODE5" } });
  expect((await press(restarted, await openConsent(restarted, client), { code: "NEWC-ODE5" })).status).toBe(302);
});

test("a form without the cookie of its page, or with another page's, is refused", async () => {
  const suite = startSuite({ bindings: env });
  const client = await register(suite);
  const form = await openConsent(suite, client);
  const other = await openConsent(suite, client);
  expect((await press(suite, { ...form, cookie: "" })).status).toBe(400);
  expect((await press(suite, { ...form, cookie: other.cookie })).status).toBe(400);
  expect((await press(suite, form)).status).toBe(302);
});

test("a page's handle works once", async () => {
  const suite = startSuite({ bindings: env });
  const form = await openConsent(suite, await register(suite));
  expect((await press(suite, form)).status).toBe(302);
  expect((await press(suite, form)).status).toBe(400);
});

test.each([
  { Origin: "https://evil.example" },
  { Origin: "null" },
  { Origin: "http://localhost:9999" },
  { "Sec-Fetch-Site": "cross-site" },
  { "Sec-Fetch-Site": "same-site" },
  { "Content-Type": "text/plain" },
  { "Content-Type": "multipart/form-data; boundary=x" },
])("a form with %o is refused", async (headers) => {
  const suite = startSuite({ bindings: env });
  const refused = await press(suite, await openConsent(suite, await register(suite)), { headers });
  expect(refused.status).toBe(403);
  expect(refused.headers.get("Location")).toBeNull();
});

test("a form of a megabyte is refused", async () => {
  const suite = startSuite({ bindings: env });
  const form = await openConsent(suite, await register(suite));
  // All else about it is right: a scope that nobody knows is left out.
  const refused = await press(suite, form, { scopes: [...form.ticked, "A".repeat(1_000_000)] });
  expect(refused.status).toBe(403);
  expect((await press(suite, form, { scopes: [...form.ticked, "A"] })).status).toBe(302);
});

test.each([
  "http://evil.example:8717",
  "http://localhost.evil.example:8717",
  "http://192.168.1.5:8717",
  "http://localhost:8718",
])("local mode shows no consent page at %s", async (origin) => {
  const suite = startSuite({ bindings: env });
  const page = await suite.fetch(await authorizeUrl(await register(suite)), { origin });
  expect(page.status).toBe(403);
  expect(await page.text()).not.toContain("Sign-in code");
});

test("local mode refuses a page that another origin asks for", async () => {
  const suite = startSuite({ bindings: env });
  const url = await authorizeUrl(await register(suite));
  expect((await suite.fetch(url, { headers: { Origin: "https://evil.example" } })).status).toBe(403);
});

test("local mode does not start where the public URL is not this machine", () => {
  const settings = { ...LOCAL_SETTINGS, PUBLIC_URL: "https://pincer.example.com" };
  expect(() => startSuite({ bindings: env, settings })).toThrow("IDENTITY is local while PUBLIC_URL is not loopback");
});

test("script in a client's name or address arrives as text", async () => {
  const suite = startSuite({ bindings: env });
  const name = `<script>alert(1)</script>"onmouseover='x'\u202Eevil`;
  const form = await openConsent(suite, await register(suite, { client_name: name }), {
    state: `"><script>alert(2)</script>`,
  });
  expect(form.status).toBe(200);
  expect(form.markup).not.toMatch(/<script|"onmouse|'x'|\u202E/);
  expect(form.markup).toContain("&lt;script&gt;alert(1)");
  const problem = await suite.fetch("/authorize?client_id=%3Cscript%3Ealert(3)%3C/script%3E&response_type=code");
  expect(await problem.text()).not.toContain("<script");
});

test("a page's headers allow no script, no frame and no caching", async () => {
  const suite = startSuite({ bindings: env });
  const { headers, markup } = await openConsent(suite, await register(suite));
  const [, nonce] = /style nonce="([0-9a-f]{32})"/.exec(markup) ?? [];
  expect(headers.get("Content-Security-Policy")).toBe(
    `default-src 'none'; style-src 'nonce-${nonce}'; base-uri 'none'; frame-ancestors 'none'`,
  );
  expect(headers.get("X-Frame-Options")).toBe("DENY");
  expect(headers.get("Cache-Control")).toBe("no-store");
  expect(headers.get("Referrer-Policy")).toBe("same-origin");
  expect(headers.get("X-Content-Type-Options")).toBe("nosniff");
  expect(headers.getSetCookie()).toEqual([
    expect.stringMatching(/^__Host-oauth-consent-\w+=\w+; Path=\/; Secure; HttpOnly; SameSite=Lax; Max-Age=600$/),
  ]);
});

test("an app's address is shown whole, so that it cannot pass for a web host", async () => {
  const settings = { ...LOCAL_SETTINGS, REDIRECT_URIS: "evil.app://claude.ai/cb" };
  const suite = startSuite({ bindings: env, settings });
  const client = await register(suite, { redirect_uris: ["evil.app://claude.ai/cb", REDIRECT] });
  const form = await openConsent(suite, client);
  expect(form.markup).toContain("<dd>evil.app://claude.ai/cb</dd>");
  expect(form.markup).toContain("whichever app on this device opens such links");
});

test("a loopback address comes with a warning, a web address without", async () => {
  const suite = startSuite({ bindings: env });
  expect((await openConsent(suite, await register(suite))).markup).toContain("an app on this computer");
  const web = await openConsent(
    suite,
    await register(suite, { redirect_uris: ["https://claude.ai/api/mcp/auth_callback"] }),
  );
  expect(web.markup).toContain("<dd>claude.ai</dd>");
  expect(web.markup).not.toContain("This sends access to");
});

test.each([
  { redirect_uri: "https://evil.example/cb" },
  { redirect_uri: "http://localhost.evil.example/callback" },
  { redirect_uri: `${REDIRECT}/../x` },
  { client_id: "nobody" },
  { client_id: "x".repeat(5_000) },
  { client_id: "http://evil.example/client.json" },
  { client_id: "https://evil.example/client.json", redirect_uri: "https://evil.example/cb" },
  { response_type: "token" },
  { code_challenge_method: "plain" },
  { code_challenge: "" },
  { resource: "https://evil.example/mcp" },
  { resource: `${ORIGIN}/mcp/other` },
])(
  "an authorization request with %o is explained here and redirected nowhere",
  async (extra: Record<string, string>) => {
    const suite = startSuite({ bindings: env, fetch: async () => new Response(null, { status: 404 }) });
    const page = await suite.fetch(await authorizeUrl(await register(suite), extra));
    expect(page.status).toBe(400);
    expect(page.headers.get("Location")).toBeNull();
    expect(await page.text()).toContain("This sign-in cannot go on");
  },
);

test("a confidential client needs PKCE as well", async () => {
  const suite = startSuite({ bindings: env });
  const client = await register(suite, { token_endpoint_auth_method: "client_secret_post" });
  const query = new URLSearchParams({
    response_type: "code",
    client_id: client.clientId,
    redirect_uri: REDIRECT,
    resource: `${ORIGIN}/mcp`,
  });
  const page = await suite.fetch(`/authorize?${query.toString()}`);
  expect(page.status).toBe(400);
  expect(await page.text()).toContain("PKCE");
});

test("a code is worth nothing with another verifier, another client, another address, or a second time", async () => {
  const suite = startSuite({ bindings: env });
  const client = await register(suite);
  const stranger = await register(suite);
  const code = codeOf(await press(suite, await openConsent(suite, client)));
  const verifier = { code_verifier: "x".repeat(64) };
  expect((await exchange(suite, client, code, verifier)).status).toBe(400);
  expect((await exchange(suite, { ...stranger, verifier: client.verifier }, code)).status).toBe(400);
  expect((await exchange(suite, client, code, { redirect_uri: "http://localhost:4999/other" })).status).toBe(400);
  const first = await exchange(suite, client, code);
  expect(first.status).toBe(200);
  expect((await exchange(suite, client, code)).status).toBe(400);
});

test("a token serves its own endpoint and no other, even below its own path", async () => {
  const suite = startSuite({ bindings: env });
  const suiteToken = await signIn(suite, { resource: `${ORIGIN}/mcp` });
  const filesToken = await signIn(suite, { resource: `${ORIGIN}/mcp/files` });
  for (const endpoint of ENDPOINTS) {
    const [ofSuite, ofFiles] = [
      await callerOf(suite, endpoint, suiteToken.access_token),
      await callerOf(suite, endpoint, filesToken.access_token),
    ];
    expect([endpoint, ofSuite !== undefined, ofFiles !== undefined]).toEqual([
      endpoint,
      endpoint === "/mcp",
      endpoint === "/mcp/files",
    ]);
  }
});

test("a code cannot be turned into a token of another endpoint", async () => {
  const suite = startSuite({ bindings: env });
  const client = await register(suite);
  const code = codeOf(await press(suite, await openConsent(suite, client, { resource: `${ORIGIN}/mcp/files` })));
  expect((await exchange(suite, client, code, { resource: `${ORIGIN}/mcp/sandbox` })).status).toBe(400);
});

test("an expired token is refused although it was just verified", async () => {
  const suite = startSuite({ bindings: env });
  const { access_token: token, expires_in: expiresIn } = await signIn(suite);
  suite.clock.nowMs += (expiresIn - 5) * 1000;
  expect(await callerOf(suite, "/mcp", token)).toBeDefined();
  suite.clock.nowMs += 6_000;
  expect(await callerOf(suite, "/mcp", token)).toBeUndefined();
});

test("truncated, altered, foreign and absurd tokens are refused with a challenge", async () => {
  const suite = startSuite({ bindings: env });
  const { access_token: token } = await signIn(suite);
  const [userId = "", grantId = "", secret = ""] = token.split(":");
  const bad = [
    token.slice(0, -1),
    `${token}x`,
    `${userId}:${grantId}:${secret.split("").toReversed().join("")}`,
    `${"0".repeat(32)}:${grantId}:${secret}`,
    `${userId}:${grantId}`,
    "::",
    "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.",
    "x".repeat(100_000),
    `${"x".repeat(600)}:y:z`,
    "../../token:x:y",
  ];
  for (const candidate of bad) {
    const refused = await suite.fetch("/mcp", { method: "POST", headers: { Authorization: `Bearer ${candidate}` } });
    expect([candidate.slice(0, 80), refused.status]).toEqual([candidate.slice(0, 80), 401]);
    expect(refused.headers.get("WWW-Authenticate")).toContain('error="invalid_token"');
  }
  expect((await suite.fetch(`/mcp?access_token=${token}`, { method: "POST" })).status).toBe(401);
  expect((await suite.fetch("/mcp", { method: "POST", headers: { Authorization: `Basic ${token}` } })).status).toBe(
    401,
  );
});

test("a grant of local mode is worth nothing once Access signs people in", async () => {
  const local = startSuite({ bindings: env });
  const { access_token: token, refresh_token: refreshToken, client } = await signIn(local);
  const moved = startSuite({
    bindings: env,
    settings: {
      ...LOCAL_SETTINGS,
      IDENTITY: "access-edge",
      ACCESS_TEAM_DOMAIN: "https://team.cloudflareaccess.com",
      ACCESS_AUDIENCE: "aud",
    },
  });
  expect(await callerOf(moved, "/mcp", token)).toBeUndefined();
  const refreshed = await moved.fetch("/oauth/token", {
    method: "POST",
    body: new URLSearchParams({ grant_type: "refresh_token", client_id: client.clientId, refresh_token: refreshToken }),
  });
  expect(refreshed.status).toBe(400);
});

test.each(["/oauth/token", "/oauth/register"])("%s reads no more of a body than it needs", async (path) => {
  const suite = startSuite({ bindings: env });
  let sent = 0;
  const endless = new ReadableStream({
    pull: (controller) => {
      sent += 16_384;
      if (sent > 4_000_000) controller.close();
      else controller.enqueue(new Uint8Array(16_384).fill(97));
    },
  });
  const headers = {
    "Content-Type": path === "/oauth/token" ? "application/x-www-form-urlencoded" : "application/json",
  };
  const response = await suite.fetch(path, { method: "POST", headers, body: endless });
  expect(response.status).toBe(413);
  expect(sent).toBeLessThan(200_000);
});
