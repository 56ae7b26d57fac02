import { listDurableObjectIds, reset, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, test } from "vitest";
import type { Caller } from "../../auth/caller.ts";
import {
  type Client,
  type Suite,
  callerOf,
  codeOf,
  exchange,
  press,
  readForm,
  register,
  tokenAnswer,
} from "./auth-suite.ts";
import { Visit, comeBack as signInAtPage } from "./account-suite.ts";
import {
  CLIENT_SECRET,
  type Script,
  comeBack,
  idToken,
  leave,
  openUpstream,
  sessionsKept,
  signInUpstream,
  startOidcSuite,
} from "./oidc-suite.ts";

afterEach(async () => {
  await reset();
});

const MINUTE_MS = 60_000;
const refused =
  (error: string, status = 400) =>
  (): Response =>
    Response.json({ error }, { status });

async function signedIn(
  suite: Suite,
): Promise<{ caller: Caller; token: string; refreshToken: string; client: Client }> {
  const { client, code } = await signInUpstream(suite);
  const answer = tokenAnswer.parse(await (await exchange(suite, client, code)).json());
  const caller = await callerOf(suite, "/mcp", answer.access_token);
  if (caller === undefined) throw new Error("The new token is not taken.");
  return { caller, token: answer.access_token, refreshToken: answer.refresh_token, client };
}

async function refresh(suite: Suite, { clientId }: Client, refreshToken: string): Promise<Response> {
  const form = { grant_type: "refresh_token", client_id: clientId, refresh_token: refreshToken };
  return await suite.fetch("/oauth/token", { method: "POST", body: new URLSearchParams(form) });
}

/** Lets the time come that each session has set. */
async function runAlarms(): Promise<void> {
  for (const id of await listDurableObjectIds(env.UPSTREAM_SESSION)) {
    await runDurableObjectAlarm(env.UPSTREAM_SESSION.get(id));
  }
}

async function daysUntilAlarms(): Promise<number[]> {
  const ids = await listDurableObjectIds(env.UPSTREAM_SESSION);
  const times = ids.map(async (id) => {
    return await runInDurableObject(
      env.UPSTREAM_SESSION.get(id),
      async (_object, { storage }) => await storage.getAlarm(),
    );
  });
  // Objects of earlier tests are listed too.
  return (await Promise.all(times)).flatMap((atMs) => (atMs === null ? [] : [(atMs - Date.now()) / 86_400_000]));
}

const countGrants = async (): Promise<number> => (await env.OAUTH_KV.list({ prefix: "grant:" })).keys.length;

test("a deployed suite says that clients need not register where they have a document", async () => {
  const { suite } = await startOidcSuite();
  const response = await suite.fetch("/.well-known/oauth-authorization-server");
  expect(await response.json()).toMatchObject({ client_id_metadata_document_supported: true });
});

test("Access says who it is before anything is asked, and a role is offered what it may have", async () => {
  const { suite, script } = await startOidcSuite({ ADMIN_GROUPS: "ops" });
  const client = await register(suite);
  script.claims = { groups: ["guests"], email: "ann@example.com" };
  const reader = await openUpstream(suite, client, { scope: "admin files:read files:write" });
  expect(reader.offered).toEqual(["files:read"]);
  expect(reader.markup).toContain("<dd>ann@example.com</dd>");
  expect(reader.markup).not.toContain("Sign-in code");
  script.claims = { groups: ["ops"] };
  const admin = await openUpstream(suite, client, { scope: "admin files:read" });
  expect(admin.offered).toEqual(["files:read", "admin"]);
  expect(admin.ticked).toEqual(["files:read"]);
});

test("what a person left out last time is left unticked for that client, and for nobody else", async () => {
  const { suite, script } = await startOidcSuite();
  const client = await register(suite);
  const first = await openUpstream(suite, client);
  expect(first.ticked).toContain("sandbox:exec");
  await press(suite, first, { scopes: ["files:read"] });
  const again = await openUpstream(suite, client);
  expect(again.ticked).toEqual(["files:read"]);
  expect(again.markup).toContain("You left this out last time.");
  expect((await openUpstream(suite, await register(suite))).ticked).toEqual(first.ticked);
  script.idToken = async (claims) => await idToken(claims).setSubject("bob").sign(script.keys.privateKey);
  expect((await openUpstream(suite, client)).ticked).toEqual(first.ticked);
});

test("a slip on the consent page shows it again, and nobody has to go to Access once more", async () => {
  const { suite, script } = await startOidcSuite();
  const client = await register(suite);
  const slip = await press(suite, await openUpstream(suite, client), { scopes: [] });
  expect(slip.status).toBe(400);
  const code = codeOf(await press(suite, await readForm(slip), { scopes: ["files:read"] }));
  const { scope } = tokenAnswer.parse(await (await exchange(suite, client, code)).json());
  expect(scope).toBe("files:read");
  expect(script.asked).toHaveLength(1);
});

test("where nothing is allowed, nothing is kept of the person's session at Access", async () => {
  const { suite, script } = await startOidcSuite();
  const client = await register(suite);
  const denied = await press(suite, await openUpstream(suite, client), { decision: "deny" });
  expect(denied.headers.get("Location")).toContain("error=access_denied");
  const left = await openUpstream(suite, client);
  expect(await sessionsKept()).toBe(1);
  script.claims = { groups: ["guests"] };
  expect((await openUpstream(suite, client, { scope: "delegate:run" })).status).toBe(403);
  expect(await sessionsKept()).toBe(1);
  await runAlarms();
  expect(await sessionsKept()).toBe(0);
  const late = await press(suite, left);
  expect(late.status).toBe(403);
  expect(await late.text()).toContain("Too much time has gone by");
  expect(await countGrants()).toBe(0);
});

test("the person's session at Access is kept for an hour until the code is exchanged, then for as long as a grant", async () => {
  const { suite } = await startOidcSuite();
  const { client, code } = await signInUpstream(suite);
  expect((await daysUntilAlarms())[0]).toBeCloseTo(1 / 24, 2);
  expect((await exchange(suite, client, code)).status).toBe(200);
  expect((await daysUntilAlarms())[0]).toBeCloseTo(31, 2);
  const { client: other, code: late } = await signInUpstream(suite);
  await runAlarms();
  expect((await exchange(suite, other, late)).status).toBe(400);
  expect(await sessionsKept()).toBe(0);
});

test("the session at Access of an own page is kept for an hour, whenever Access is asked, and longer only for a token that is made there", async () => {
  const { suite, script } = await startOidcSuite();
  const visit = new Visit(suite);
  await signInAtPage(visit);
  expect((await daysUntilAlarms())[0]).toBeCloseTo(1 / 24, 2);
  suite.clock.nowMs += 11 * MINUTE_MS;
  expect((await visit.get("/account")).status).toBe(200);
  expect(script.asked).toHaveLength(2);
  expect((await daysUntilAlarms())[0]).toBeCloseTo(1 / 24, 2);
  const token = await visit.makeToken({ scopes: ["files:read"] });
  expect((await daysUntilAlarms())[0]).toBeCloseTo(31, 1);
  expect(await callerOf(suite, "/mcp", token)).toBeDefined();
});

test("a HEAD at the way back from Access is refused, and uses nothing up", async () => {
  const { suite } = await startOidcSuite();
  const { state, cookie } = await leave(suite, await register(suite));
  const way = `/authorize/callback?code=upstream-code&state=${state}`;
  expect((await suite.fetch(way, { method: "HEAD", headers: { Cookie: cookie } })).status).toBe(404);
  expect((await suite.fetch(way, { headers: { Cookie: cookie } })).status).toBe(200);
});

test("a person keeps their id when the application at Access is another, or stands in front of /authorize", async () => {
  const { suite } = await startOidcSuite();
  const { caller } = await signedIn(suite);
  const digest = await crypto.subtle.digest(
    "SHA-256",
    new TextEncoder().encode(JSON.stringify(["https://team.cloudflareaccess.com", "ann"])),
  );
  expect(caller.userId).toBe(new Uint8Array(digest).toHex().slice(0, 32));
});

test("where the id token says nothing of groups, userinfo does", async () => {
  const { suite, script } = await startOidcSuite();
  script.claims = {};
  script.userinfo = () => Response.json({ sub: "ann", groups: ["guests"] });
  expect((await signedIn(suite)).caller.role).toBe("reader");
});

test("groups come as names, or as objects with an id and a name", async () => {
  const { suite, script } = await startOidcSuite({ MEMBER_GROUPS: "5f2c", READER_GROUPS: "guests" });
  script.claims = { groups: [{ id: "5f2c", name: "People" }] };
  expect((await signedIn(suite)).caller.role).toBe("member");
  script.claims = { groups: ["everybody", { id: "77aa", name: "guests" }] };
  expect((await signedIn(suite)).caller.role).toBe("reader");
});

test("where no group is named everybody is a member, and none are asked for", async () => {
  const { suite, script } = await startOidcSuite({ MEMBER_GROUPS: "", READER_GROUPS: "" });
  script.claims = {};
  script.userinfo = () => new Response(null, { status: 500 });
  expect((await signedIn(suite)).caller.role).toBe("member");
});

test("without a refresh token nobody is let in, and the page says what to set", async () => {
  const { suite, script } = await startOidcSuite();
  script.refreshToken = undefined;
  const page = await comeBack(suite, await register(suite));
  expect(page.status).toBe(403);
  expect(await page.text()).toContain("must set a refresh token lifetime in its Access application");
  expect(await countGrants()).toBe(0);
});

test("the upstream refresh token and the client's secret are in no grant, token or transaction", async () => {
  const { suite, script } = await startOidcSuite();
  const { client, refreshToken } = await signedIn(suite);
  await refresh(suite, client, refreshToken);
  const { keys } = await env.OAUTH_KV.list();
  expect(keys.length).toBeGreaterThan(1);
  for (const { name, metadata } of keys) {
    const kept = `${name} ${JSON.stringify(metadata)} ${await env.OAUTH_KV.get(name)}`;
    expect(kept).not.toContain("upstream-refresh");
    expect(kept).not.toContain(CLIENT_SECRET);
  }
  expect(script.asked.map((form) => form.get("grant_type"))).toEqual(["authorization_code", "refresh_token"]);
});

test("a token ends after ten minutes, remembered or not", async () => {
  const { suite } = await startOidcSuite();
  const { token } = await signedIn(suite);
  suite.clock.nowMs += 9.9 * MINUTE_MS;
  expect(await callerOf(suite, "/mcp", token)).toBeDefined();
  suite.clock.nowMs += 0.2 * MINUTE_MS;
  expect(await callerOf(suite, "/mcp", token)).toBeUndefined();
});

test("a code that lay around is exchanged only if Access still lets its person in", async () => {
  const { suite, script } = await startOidcSuite();
  const { client, code } = await signInUpstream(suite);
  suite.clock.nowMs += MINUTE_MS;
  script.refusal = refused("invalid_grant");
  expect((await exchange(suite, client, code)).status).toBe(400);
  expect(await countGrants()).toBe(0);
});

test("what goes on without a request asks Access again after ten minutes, and ends with its person", async () => {
  const { suite, script } = await startOidcSuite();
  const { caller } = await signedIn(suite);
  const fileScopes = ["files:read", "files:write"] as const;
  script.refusal = refused("access_denied", 403);
  suite.clock.nowMs += 9.9 * MINUTE_MS;
  expect(await suite.scopesNow(caller)).toEqual(caller.scopes);
  expect(await suite.isLetIn(caller.userId, fileScopes)).toBe(true);
  expect(script.asked).toHaveLength(1);
  suite.clock.nowMs += 0.2 * MINUTE_MS;
  expect(await suite.scopesNow(caller)).toBeUndefined();
  expect(await suite.isLetIn(caller.userId, fileScopes)).toBe(false);
  expect(await countGrants()).toBe(0);
  // The provider's word was for good: it is not asked again.
  expect(script.asked).toHaveLength(2);
});

test("a link alone finds out that its person is out", async () => {
  const { suite, script } = await startOidcSuite();
  const { caller } = await signedIn(suite);
  suite.clock.nowMs += 11 * MINUTE_MS;
  script.refusal = refused("invalid_grant");
  expect(await suite.isLetIn(caller.userId, ["files:read"])).toBe(false);
  expect(await suite.isLetIn("nobody", ["files:read"])).toBe(false);
});

test("what goes on without a request has the role of now", async () => {
  const { suite, script } = await startOidcSuite();
  const { caller } = await signedIn(suite);
  script.claims = { groups: ["guests"] };
  suite.clock.nowMs += 11 * MINUTE_MS;
  expect(await suite.scopesNow(caller)).toEqual(["files:read", "browser:read"]);
  expect(await suite.isLetIn(caller.userId, ["files:read"])).toBe(true);
  expect(await suite.isLetIn(caller.userId, ["files:write"])).toBe(false);
  script.claims = { groups: [] };
  suite.clock.nowMs += 11 * MINUTE_MS;
  expect(await suite.scopesNow(caller)).toBeUndefined();
  expect(await suite.isLetIn(caller.userId, ["files:read"])).toBe(false);
  expect(await countGrants()).toBe(0);
});

test("many that ask at once share one question", async () => {
  const { suite, script } = await startOidcSuite();
  const { caller } = await signedIn(suite);
  suite.clock.nowMs += 11 * MINUTE_MS;
  const answers = await Promise.all([
    suite.scopesNow(caller),
    suite.isLetIn(caller.userId, ["files:read"]),
    suite.scopesNow(caller),
    suite.isLetIn(caller.userId, ["files:write"]),
  ]);
  expect(answers).toEqual([caller.scopes, true, caller.scopes, true]);
  expect(script.asked).toHaveLength(2);
});

test.each<[what: string, trouble: (script: Script) => void]>([
  ["does not answer", (script) => (script.refusal = () => new Response("<h1>Bad gateway</h1>", { status: 502 }))],
  ["asks for patience", (script) => (script.refusal = refused("temporarily_unavailable", 429))],
  ["refuses our secret", (script) => (script.refusal = refused("invalid_client", 401))],
  ["answers with a page", (script) => (script.refusal = () => new Response("<h1>Hello</h1>"))],
  ["sends us elsewhere", (script) => (script.refusal = () => Response.redirect("https://evil.example/token"))],
])("where Access %s, nobody goes on and no grant is lost", async (_what, trouble) => {
  const { suite, script } = await startOidcSuite();
  const { caller, client, refreshToken } = await signedIn(suite);
  suite.clock.nowMs += 11 * MINUTE_MS;
  trouble(script);
  await expect(suite.scopesNow(caller)).rejects.toMatchObject({ code: "unavailable", retryable: true });
  await expect(suite.isLetIn(caller.userId, ["files:read"])).rejects.toMatchObject({ code: "unavailable" });
  expect((await refresh(suite, client, refreshToken)).status).toBe(503);
  // Nobody else is shown our secret.
  expect(script.followed).toEqual([]);
  script.refusal = undefined;
  expect(await suite.scopesNow(caller)).toEqual(caller.scopes);
});

test("a refresh token that was replaced is not lost where the person could not be asked for then", async () => {
  const { suite, script } = await startOidcSuite();
  const { caller } = await signedIn(suite);
  suite.clock.nowMs += 11 * MINUTE_MS;
  script.hasIdTokenAtRefresh = false;
  script.userinfo = () => new Response(null, { status: 503 });
  await expect(suite.scopesNow(caller)).rejects.toMatchObject({ code: "unavailable" });
  script.userinfo = () => Response.json({ sub: "ann", groups: ["staff"] });
  expect(await suite.scopesNow(caller)).toEqual(caller.scopes);
  expect(new Set(script.asked.map((form) => form.get("refresh_token"))).size).toBe(3);
});
