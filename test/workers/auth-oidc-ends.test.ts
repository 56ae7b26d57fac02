import { reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, test } from "vitest";
import { Visit, comeBack } from "./account-suite.ts";
import { type Client, type Suite, callerOf, exchange, refresh, revoke, tokenAnswer } from "./auth-suite.ts";
import { type Script, idToken, sessionsKept, signInUpstream, startOidcSuite } from "./oidc-suite.ts";

afterEach(async () => {
  await reset();
});

interface Held {
  readonly client: Client;
  readonly code: string;
  readonly token: string;
  readonly refreshToken: string;
}

async function signedIn(suite: Suite): Promise<Held> {
  const { client, code } = await signInUpstream(suite);
  const answer = tokenAnswer.parse(await (await exchange(suite, client, code)).json());
  return { client, code, token: answer.access_token, refreshToken: answer.refresh_token };
}

/** From then on the provider says that somebody else is at the browser. */
function cameAs(script: Script, subject: string, group: string): void {
  script.claims = { groups: [group], email: `${subject}@example.com` };
  script.idToken = async (claims) => await idToken(claims).setSubject(subject).sign(script.keys.privateKey);
}

test.each<[what: string, end: (suite: Suite, held: Held) => Promise<unknown>]>([
  ["its client revokes it", async (suite, { client, refreshToken }) => await revoke(suite, client, refreshToken)],
  ["its code comes twice", async (suite, { client, code }) => await exchange(suite, client, code)],
  [
    "its refresh token comes twice",
    async (suite, { client, refreshToken }) => {
      await refresh(suite, client, refreshToken);
      suite.clock.nowMs += 10_000;
      await refresh(suite, client, refreshToken);
    },
  ],
])("a grant's session at Access ends at once when %s", async (_what, end) => {
  const { suite, script } = await startOidcSuite();
  const held = await signedIn(suite);
  const other = await signedIn(suite);
  const othersAtAccess = script.refreshToken;
  expect(await sessionsKept()).toBe(2);
  await end(suite, held);
  expect(await sessionsKept()).toBe(1);
  expect(await callerOf(suite, "/mcp", held.token)).toBeUndefined();
  expect(await callerOf(suite, "/mcp", other.token)).toBeDefined();
  script.refreshToken = othersAtAccess;
  expect((await refresh(suite, other.client, other.refreshToken)).status).toBe(200);
});

test("a grant's session at Access ends when its client signs in anew", async () => {
  const { suite } = await startOidcSuite();
  const { client, token, refreshToken } = await signedIn(suite);
  await signInUpstream(suite, client);
  expect(await sessionsKept()).toBe(1);
  expect(await callerOf(suite, "/mcp", token)).toBeUndefined();
  expect((await refresh(suite, client, refreshToken)).status).toBe(400);
});

test("a grant's session at Access ends when its person revokes it", async () => {
  const { suite } = await startOidcSuite();
  const { token } = await signedIn(suite);
  const visit = new Visit(suite);
  await comeBack(visit);
  const { key, ids } = await visit.read();
  expect(await sessionsKept()).toBe(2);
  await visit.post("/account/revoke", { key, kind: "grant", id: ids[0] ?? "" });
  expect(await sessionsKept()).toBe(1);
  expect(await callerOf(suite, "/mcp", token)).toBeUndefined();
  await visit.post("/account/sign-out", { key });
  expect(await sessionsKept()).toBe(0);
});

test("a grant's session at Access ends when its person is in no group that has a role any more", async () => {
  const { suite, script } = await startOidcSuite();
  const { token } = await signedIn(suite);
  const caller = await callerOf(suite, "/mcp", token);
  if (caller === undefined) throw new Error("The new token is not taken.");
  script.claims = { groups: ["strangers"] };
  suite.clock.nowMs += 11 * 60_000;
  expect(await suite.scopesNow(caller)).toBeUndefined();
  expect(await sessionsKept()).toBe(0);
});

test.each<[what: string, holdUp: (script: Script, gate: () => Promise<void>) => void]>([
  [
    "for new tokens",
    (script, gate) => {
      script.idToken = async (claims) => {
        await gate();
        return await idToken(claims).sign(script.keys.privateKey);
      };
    },
  ],
  [
    "who it is",
    (script, gate) => {
      script.hasIdTokenAtRefresh = false;
      script.userinfo = async () => {
        await gate();
        return Response.json({ sub: "ann", ...script.claims });
      };
    },
  ],
])("a session that ends while Access is asked %s stays ended, whatever Access says", async (_what, holdUp) => {
  const { suite, script } = await startOidcSuite();
  const { client, token, refreshToken } = await signedIn(suite);
  const caller = await callerOf(suite, "/mcp", token);
  if (caller === undefined) throw new Error("The new token is not taken.");
  suite.clock.nowMs += 11 * 60_000;
  let [isAsked, mayAnswer] = [false, false];
  holdUp(script, async () => {
    isAsked = true;
    // No promise of the test's own: the session, which waits here, is a Durable Object.
    while (!mayAnswer) await scheduler.wait(5);
  });
  const scopes = suite.scopesNow(caller);
  await expect.poll(() => isAsked).toBe(true);
  await revoke(suite, client, refreshToken);
  expect(await sessionsKept()).toBe(0);
  mayAnswer = true;
  expect(await scopes).toBeUndefined();
  expect(await sessionsKept()).toBe(0);
});

test("tokens live by the session of the page that they were made on, which ends with the last of them", async () => {
  const { suite } = await startOidcSuite();
  const visit = new Visit(suite);
  await comeBack(visit);
  const token = await visit.makeToken({ scopes: ["files:read"] });
  await visit.makeToken({ scopes: ["files:read"] });
  const { key, ids } = await visit.read();
  await visit.post("/account/sign-out", { key });
  expect(await callerOf(suite, "/mcp", token)).toBeDefined();
  await comeBack(visit);
  const again = await visit.read();
  for (const [index, id] of ids.entries()) {
    expect(await sessionsKept()).toBe(2);
    expect((await visit.post("/account/revoke", { key: again.key, kind: "token", id })).status).toBe(303);
    expect(index).toBeLessThan(2);
  }
  expect(await sessionsKept()).toBe(1);
});

test("what an admin has revoked of a person leaves nothing that could be used", async () => {
  const { suite, script } = await startOidcSuite({ ADMIN_GROUPS: "ops" });
  cameAs(script, "bob", "staff");
  const { client, token, refreshToken } = await signedIn(suite);
  const bob = new Visit(suite);
  await comeBack(bob);
  const personal = await bob.makeToken({ scopes: ["files:read", "files:write"] });
  const caller = await callerOf(suite, "/mcp", token);
  const tokenCaller = await callerOf(suite, "/mcp", personal);
  if (caller === undefined || tokenCaller === undefined) throw new Error("The new tokens are not taken.");

  cameAs(script, "root", "ops");
  const admin = new Visit(suite);
  await comeBack(admin, "/admin");
  const page = `/admin/people/${caller.userId}`;
  const { key, text } = await admin.read(`${page}/apps`);
  const forms = [...text.matchAll(/name="kind" value="(\w+)"\s*\/>\s*<input type="hidden" name="id" value="([^"]+)"/g)];
  expect(forms.map(([, kind = ""]) => kind).toSorted()).toEqual(["grant", "token"]);
  for (const [, kind = "", id = ""] of forms) {
    expect((await admin.post(`${page}/revoke`, { key, kind, id })).status).toBe(303);
  }

  expect(await callerOf(suite, "/mcp", token)).toBeUndefined();
  expect(await callerOf(suite, "/mcp", personal)).toBeUndefined();
  expect((await refresh(suite, client, refreshToken)).status).toBe(400);
  expect(await suite.scopesNow(caller)).toBeUndefined();
  expect(await suite.scopesNow(tokenCaller)).toBeUndefined();
  expect(await suite.isLetIn(caller.userId, ["files:read"])).toBe(false);
  // A page that was open makes no other token.
  expect((await bob.read()).text).toContain("Sign in to Pincer");
  expect(await bob.makeToken({ scopes: ["files:read"] })).toBe("");
  // The admin's own is the only one left, and the admin is still there.
  expect(await sessionsKept()).toBe(1);
  expect((await admin.read("/admin")).status).toBe(200);
  expect(await env.OAUTH_KV.list({ prefix: "token:" }).then(({ keys }) => keys)).toEqual([]);
});
