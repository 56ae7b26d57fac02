import { listDurableObjectIds, reset, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, test } from "vitest";
import { Visit } from "./account-suite.ts";
import {
  LOCAL_SETTINGS,
  ORIGIN,
  authorizeUrl,
  callerOf,
  openConsent,
  press,
  refresh,
  register,
  signIn,
  startSuite,
} from "./auth-suite.ts";

afterEach(async () => {
  await reset();
});

const MINUTE_MS = 60_000;

async function signedIn(suite = startSuite({ bindings: env })): Promise<Visit> {
  const visit = new Visit(suite);
  await visit.signIn();
  return visit;
}

test("nobody sees the pages without signing in, and the code opens them", async () => {
  const visit = new Visit(startSuite({ bindings: env }));
  for (const path of ["/account", "/admin"] as const) {
    const { status, text } = await visit.read(path);
    expect([path, status]).toEqual([path, 200]);
    expect(text).toContain("Sign in to Pincer");
    expect(text).not.toContain("Apps");
  }
  const wrong = await visit.signIn("/account", "AAAA-AAAA");
  expect([wrong.status, visit.cookie]).toEqual([403, ""]);
  const entered = await visit.signIn("/admin");
  expect([entered.status, entered.headers.get("Location")]).toEqual([303, "/admin"]);
  const [cookie = ""] = entered.headers.getSetCookie();
  expect(cookie).toMatch(/^__Host-pincer-account=\w+; Max-Age=900; Path=\/; Secure; HttpOnly; SameSite=Lax$/);
  expect((await visit.read("/account")).text).toContain("Signed in as the owner of this machine");
});

test("the code is guessed at five times, here and on the consent page together", async () => {
  const suite = startSuite({ bindings: env });
  const visit = new Visit(suite);
  const client = await register(suite);
  for (let guess = 0; guess < 5; guess += 1) {
    const code = `AAAA-000${guess}`;
    const answer =
      guess % 2 === 0
        ? await visit.signIn("/account", code)
        : await press(suite, await openConsent(suite, client), { code });
    expect(answer.status).toBe(403);
  }
  expect((await visit.signIn()).status).toBe(429);
  expect(visit.cookie).toBe("");
});

test("a page is neither framed nor kept, and runs no script but its own", async () => {
  const visit = await signedIn();
  for (const path of ["/account", "/admin"]) {
    const { headers } = await visit.get(path);
    expect(headers.get("Content-Security-Policy")).toMatch(
      /^default-src 'none'; style-src 'nonce-(\w+)'; script-src 'nonce-\1'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'$/,
    );
    expect(headers.get("X-Frame-Options")).toBe("DENY");
    expect(headers.get("Cache-Control")).toBe("no-store");
  }
});

test("HEAD is answered as GET is, and without the page", async () => {
  const suite = startSuite({ bindings: env });
  const { cookie } = await signedIn(suite);
  const ask = async (method: string, path: string, headers: Readonly<Record<string, string>>) => {
    const response = await suite.fetch(path, { method, headers });
    const said = [...response.headers].map(([name, value]) => [name, value.replaceAll(/nonce-\w+/g, "nonce")]);
    return { status: response.status, headers: said, webSocket: response.webSocket, text: await response.text() };
  };
  const consent = await authorizeUrl(await register(suite));
  for (const [path, headers] of [
    ["/account", {}],
    ["/account", { Cookie: cookie }],
    ["/account/nothing", { Cookie: cookie }],
    ["/admin/usage.csv", { Cookie: cookie }],
    ["/account/terminal/socket", { Cookie: cookie }],
    [consent.replace("redirect_uri", "redirect"), {}],
  ] as const) {
    const { text, ...others } = await ask("GET", path, headers);
    expect(text).not.toBe("");
    expect([path, await ask("HEAD", path, headers)]).toEqual([path, { ...others, text: "" }]);
  }
  expect(await ask("HEAD", consent, {})).toMatchObject({ status: 200, text: "" });
  expect(await ask("HEAD", "/account/live", { Cookie: cookie })).toMatchObject({ status: 200, text: "" });
  const socket = { Cookie: cookie, Origin: ORIGIN, Upgrade: "websocket" };
  expect(await ask("HEAD", "/account/terminal/socket", socket)).toMatchObject({ status: 426, webSocket: null });
});

test("a method that neither opens a page nor sends a form is told which do", async () => {
  const suite = startSuite({ bindings: env });
  for (const path of ["/account", "/admin/limits", "/authorize"]) {
    const { status, headers } = await suite.fetch(path, { method: "DELETE" });
    expect([path, status, headers.get("Allow")]).toEqual([path, 405, "GET, HEAD, POST"]);
  }
});

test("an app is listed with what it may do, and revoking it ends its tokens", async () => {
  const suite = startSuite({ bindings: env });
  const visit = await signedIn(suite);
  const { access_token: token, refresh_token: refreshToken, client } = await signIn(suite, { scope: "files:read" });
  const caller = await callerOf(suite, "/mcp", token);
  if (caller === undefined) throw new Error("The new token is not taken.");
  expect(await suite.scopesNow(caller)).toEqual(["files:read"]);
  const { text, key, ids } = await visit.read();
  for (const words of ["Test client", "All servers of this suite", "Read your files"]) expect(text).toContain(words);
  expect(ids).toHaveLength(1);
  const revoked = await visit.post("/account/revoke", { key, kind: "grant", id: ids[0] ?? "" });
  expect([revoked.status, revoked.headers.get("Location")]).toEqual([303, "/account/apps?done=revoked"]);
  expect(await callerOf(suite, "/mcp", token)).toBeUndefined();
  expect((await refresh(suite, client, refreshToken)).status).toBe(400);
  expect(await suite.scopesNow(caller)).toBeUndefined();
  const after = await visit.read("/account/apps?done=revoked");
  expect(after.text).toContain("Revoked.");
  expect(after.ids).toEqual([]);
});

test("a grant that KV still shows is gone once its Durable Object has ended it", async () => {
  const suite = startSuite({ bindings: env });
  const visit = await signedIn(suite);
  const { access_token: token } = await signIn(suite);
  const [userId = "", grantId = ""] = token.split(":");
  await env.ACCOUNT.get(env.ACCOUNT.idFromName(userId)).endGrant(grantId, suite.clock.nowMs);
  expect((await env.OAUTH_KV.list({ prefix: "grant:" })).keys).toHaveLength(1);
  expect((await visit.read()).ids).toEqual([]);
});

test("a token is shown once, serves what was ticked, tells its last use, and is revoked at once", async () => {
  const suite = startSuite({ bindings: env });
  const visit = await signedIn(suite);
  const token = await visit.makeToken({ scopes: ["files:read"] });
  expect((await visit.read()).text).toContain("never");
  expect((await callerOf(suite, "/mcp/files", token))?.scopes).toEqual(["files:read"]);
  const { text, key, ids } = await visit.read();
  expect(text).not.toContain(token);
  expect(text).not.toContain("never");
  await visit.post("/account/revoke", { key, kind: "token", id: ids[0] ?? "" });
  expect(await callerOf(suite, "/mcp/files", token)).toBeUndefined();
  expect((await visit.read()).ids).toEqual([]);
});

test("another isolate that has just verified a revoked token takes it for half a minute at most", async () => {
  const suite = startSuite({ bindings: env });
  const other = startSuite({ bindings: env });
  const visit = await signedIn(suite);
  const token = await visit.makeToken({ scopes: ["files:read"] });
  expect(await callerOf(other, "/mcp", token)).toBeDefined();
  const { key, ids } = await visit.read();
  await visit.post("/account/revoke", { key, kind: "token", id: ids[0] ?? "" });
  other.clock.nowMs += 30_000;
  expect(await callerOf(other, "/mcp", token)).toBeUndefined();
});

test("a token ends after its days", async () => {
  const suite = startSuite({ bindings: env });
  const token = await (await signedIn(suite)).makeToken({ scopes: ["files:read"], days: "7" });
  suite.clock.nowMs += 7 * 24 * 60 * MINUTE_MS - 1_000;
  expect(await callerOf(suite, "/mcp", token)).toBeDefined();
  suite.clock.nowMs += 1_001;
  expect(await callerOf(suite, "/mcp", token)).toBeUndefined();
});

test.each([
  [{ name: "", days: "1", scope: "files:read" }, "Give the token a name"],
  [{ name: "x".repeat(101), days: "1", scope: "files:read" }, "Give the token a name"],
  [{ name: "ci", days: "367", scope: "files:read" }, "at most 366 days"],
  [{ name: "ci", days: "0", scope: "files:read" }, "at most 366 days"],
  [{ name: "ci", days: "1", scope: "root" }, "Tick at least one thing"],
])("a token ordered as %j is not made, and the page says why", async (order, words) => {
  const visit = await signedIn();
  const { key } = await visit.read();
  const response = await visit.post("/account/tokens", { key, ...order });
  expect(response.status).toBe(400);
  expect(await response.text()).toContain(words);
  expect((await visit.read()).ids).toEqual([]);
});

test("forms of other pages, and forms without the session's key, change nothing", async () => {
  const suite = startSuite({ bindings: env });
  const visit = await signedIn(suite);
  const token = await visit.makeToken({ scopes: ["files:read"] });
  const { key, ids } = await visit.read();
  const form = { key, kind: "token", id: ids[0] ?? "" };
  const other = new Visit(suite);
  await other.signIn();
  const { key: keyOfAnother } = await other.read();
  const forged: readonly (readonly [Record<string, string>, Record<string, string>])[] = [
    [{ ...form, key: "" }, {}],
    [{ ...form, key: keyOfAnother }, {}],
    [form, { Origin: "https://evil.example" }],
    [form, { Origin: "null" }],
    [form, { "Sec-Fetch-Site": "cross-site" }],
    [form, { "Content-Type": "text/plain" }],
  ];
  for (const path of ["/account/revoke", "/account/act", "/account/tokens", "/account/sign-out"]) {
    for (const [fields, headers] of forged) expect((await visit.post(path, fields, headers)).status).toBe(403);
  }
  expect(await callerOf(suite, "/mcp", token)).toBeDefined();
  expect((await visit.read()).ids).toEqual(ids);
  expect((await visit.post("/account/sign-in", { code: "WXYZ-2345" }, { Origin: "https://evil.example" })).status).toBe(
    403,
  );
});

test("a session ends after a quarter of an hour", async () => {
  const suite = startSuite({ bindings: env });
  const visit = await signedIn(suite);
  const { key } = await visit.read();
  suite.clock.nowMs += 15 * MINUTE_MS - 1;
  expect((await visit.read()).text).toContain("Apps and tokens");
  suite.clock.nowMs += 1;
  expect((await visit.read()).text).toContain("Sign in to Pincer");
  const late = await visit.post("/account/tokens", { key, name: "late", days: "1", scope: "files:read" });
  expect([late.status, late.headers.get("Location")]).toEqual([303, "/account"]);
});

test("signing out ends the session itself, not only the cookie", async () => {
  const visit = await signedIn();
  const { cookie } = visit;
  const { key } = await visit.read();
  const out = await visit.post("/account/sign-out", { key });
  expect(out.headers.get("Set-Cookie")).toContain("Max-Age=0");
  expect(await (await visit.get("/account", cookie)).text()).toContain("Sign in to Pincer");
});

test("a forged session, or one of another deployment, is nobody's and wakes nobody's Durable Object", async () => {
  const visit = await signedIn();
  const [userId = "", secret = "", mac = ""] = visit.cookie.split("=")[1]?.split("_") ?? [];
  const before = (await listDurableObjectIds(env.ACCOUNT)).length;
  const other = new Visit(
    startSuite({ bindings: env, settings: { ...LOCAL_SETTINGS, SIGNING_SECRET: "t".repeat(40) } }),
  );
  for (const value of [
    `${userId}_${"0".repeat(64)}_${mac}`,
    `${"0".repeat(32)}_${secret}_${mac}`,
    `${userId}_${secret}`,
  ]) {
    expect(await (await visit.get("/account", `__Host-pincer-account=${value}`)).text()).toContain("Sign in to Pincer");
  }
  expect(await (await other.get("/account", visit.cookie)).text()).toContain("Sign in to Pincer");
  expect((await listDurableObjectIds(env.ACCOUNT)).length).toBe(before);
});

test("only a hash of the session is stored", async () => {
  const visit = await signedIn();
  const [userId = "", secret = ""] = visit.cookie.split("=")[1]?.split("_") ?? [];
  const rows = await runInDurableObject(env.ACCOUNT.get(env.ACCOUNT.idFromName(userId)), (_account, state) =>
    JSON.stringify(state.storage.sql.exec("SELECT * FROM sessions").toArray()),
  );
  expect(rows).toContain("the owner of this machine");
  expect(rows).not.toContain(secret);
});

test("a session opens no endpoint", async () => {
  const suite = startSuite({ bindings: env });
  const visit = await signedIn(suite);
  const value = visit.cookie.split("=")[1] ?? "";
  expect(await callerOf(suite, "/mcp", value)).toBeUndefined();
  expect((await visit.post("/mcp", {})).status).toBe(401);
});

test("script in the name of an app or a token is text", async () => {
  const suite = startSuite({ bindings: env });
  const visit = await signedIn(suite);
  const { key } = await visit.read();
  await visit.post("/account/tokens", { key, name: "<script>alert(1)</script>", days: "1", scope: "files:read" });
  const { text } = await visit.read();
  expect(text).toContain("&lt;script&gt;alert(1)");
  expect(text).not.toContain("<script>alert");
});

test("a token from before its maker was kept is the local owner's", async () => {
  const suite = startSuite({ bindings: env });
  const visit = await signedIn(suite);
  const token = await visit.makeToken({ scopes: ["files:read"] });
  const [, userId = ""] = token.split("_");
  await runInDurableObject(env.ACCOUNT.get(env.ACCOUNT.idFromName(userId)), (_account, state) =>
    state.storage.sql.exec("UPDATE tokens SET owner = NULL"),
  );
  expect((await callerOf(suite, "/mcp", token))?.role).toBe("admin");
});
