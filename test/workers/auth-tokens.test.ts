import { listDurableObjectIds, reset, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, test } from "vitest";
import * as z from "zod";
import { ALL_SCOPES } from "../../auth/scopes.ts";
import { ADMIN_SECRET, ENDPOINTS, LOCAL_SETTINGS, type Suite, callerOf, signIn, startSuite } from "./auth-suite.ts";

afterEach(async () => {
  await reset();
});

const answer = z.strictObject({ token: z.string(), expires_at: z.iso.datetime(), scopes: z.array(z.string()) });

async function order(suite: Suite, body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
  return await suite.fetch("/local/token", {
    method: "POST",
    headers: { Authorization: `Bearer ${ADMIN_SECRET}`, "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
}

async function makeToken(suite: Suite, body: unknown = {}): Promise<string> {
  return answer.parse(await (await order(suite, body)).json()).token;
}

test("a personal access token serves every endpoint with all scopes, as the person who signs in locally", async () => {
  const suite = startSuite({ bindings: env });
  const response = await order(suite, {});
  expect(response.status).toBe(200);
  expect(response.headers.get("Cache-Control")).toBe("no-store");
  const { token, scopes, expires_at: expiresAt } = answer.parse(await response.json());
  expect(scopes).toEqual(ALL_SCOPES);
  expect(Date.parse(expiresAt)).toBe(suite.clock.nowMs + 30 * 24 * 60 * 60 * 1000);
  const person = await callerOf(suite, "/mcp", (await signIn(suite)).access_token);
  for (const endpoint of ENDPOINTS) {
    expect(await callerOf(suite, endpoint, token)).toEqual({
      userId: person?.userId,
      role: "admin",
      scopes: ALL_SCOPES,
      clientId: expect.stringMatching(/^token:[0-9a-f]{16}$/),
    });
  }
});

test("a token carries the scopes that were ordered and what they imply", async () => {
  const suite = startSuite({ bindings: env });
  const token = await makeToken(suite, { scopes: ["sandbox:exec"], name: "ci" });
  expect((await callerOf(suite, "/mcp/browser", token))?.scopes).toEqual(["sandbox:exec", "files:read", "files:write"]);
});

test("a token ends when it was said to, although it was just verified", async () => {
  const suite = startSuite({ bindings: env });
  const token = await makeToken(suite, { expires_in_seconds: 60 });
  suite.clock.nowMs += 50_000;
  expect(await callerOf(suite, "/mcp", token)).toBeDefined();
  suite.clock.nowMs += 10_001;
  expect(await callerOf(suite, "/mcp", token)).toBeUndefined();
});

test("forged tokens are refused without waking a Durable Object", async () => {
  const suite = startSuite({ bindings: env });
  const genuine = await makeToken(suite);
  const [prefix = "", userId = "", secret = "", mac = ""] = genuine.split("_");
  const before = (await listDurableObjectIds(env.ACCOUNT)).length;
  const forged = [
    [prefix, "0".repeat(32), secret, mac],
    [prefix, userId, "0".repeat(64), mac],
    [prefix, userId, secret, "0".repeat(32)],
    [prefix, userId, secret, mac.toUpperCase()],
    [prefix, userId, secret],
    [prefix, userId, secret, mac, mac],
  ].map((parts) => parts.join("_"));
  for (const token of [...forged, genuine.slice(0, -1), "pincer_", `${genuine}a`]) {
    expect([token, await callerOf(suite, "/mcp", token)]).toEqual([token, undefined]);
  }
  expect((await listDurableObjectIds(env.ACCOUNT)).length).toBe(before);
});

test("a token signed with our secret that was never stored is refused", async () => {
  const suite = startSuite({ bindings: env });
  const token = await makeToken(suite);
  await reset();
  expect(await callerOf(suite, "/mcp", token)).toBeUndefined();
});

test("a token of another deployment is refused", async () => {
  const token = await makeToken(startSuite({ bindings: env }));
  const other = startSuite({ bindings: env, settings: { ...LOCAL_SETTINGS, SIGNING_SECRET: "t".repeat(40) } });
  expect(await callerOf(other, "/mcp", token)).toBeUndefined();
});

test("only a hash of the token is stored", async () => {
  const suite = startSuite({ bindings: env });
  const token = await makeToken(suite);
  const [, userId = "", secret = ""] = token.split("_");
  const stub = env.ACCOUNT.get(env.ACCOUNT.idFromName(userId));
  const rows = await runInDurableObject(stub, (_account, state) =>
    JSON.stringify(state.storage.sql.exec("SELECT * FROM tokens").toArray()),
  );
  expect(rows).toContain('"hash"');
  expect(rows).not.toContain(secret);
});

test.each([
  [{ Authorization: "Bearer wrong" }, 401],
  [{ Authorization: `Bearer ${ADMIN_SECRET}x` }, 401],
  [{ Authorization: "" }, 401],
  [{ Origin: "http://localhost:8717" }, 403],
  [{ Origin: "https://evil.example" }, 403],
  [{ Origin: "null" }, 403],
])("an order with %o is refused with %i", async (headers: Record<string, string>, status) => {
  const suite = startSuite({ bindings: env });
  const refused = await order(suite, {}, headers);
  expect(refused.status).toBe(status);
  expect(await refused.text()).not.toContain("pincer_");
});

test("an order from another host is refused", async () => {
  const suite = startSuite({ bindings: env });
  const init = { method: "POST", headers: { Authorization: `Bearer ${ADMIN_SECRET}` }, body: "{}" };
  expect((await suite.fetch("/local/token", { ...init, origin: "http://evil.example:8717" })).status).toBe(403);
  expect((await suite.fetch("/local/token", { ...init, origin: "http://127.0.0.1:8717" })).status).toBe(200);
});

test.each([
  [{ scopes: [] }, "name at least one"],
  [{ scopes: ["files:read", "root"] }, "no such scope: root"],
  [{ expires_in_seconds: 5 }, "expires_in_seconds"],
  [{ expires_in_seconds: 1e9 }, "expires_in_seconds"],
  [{ expires_in_seconds: "60" }, "expires_in_seconds"],
  [{ name: "" }, "name"],
  [{ nmae: "x" }, "nmae"],
  [[], "expected object"],
  ["x".repeat(5_000), "over 4096 bytes"],
])("the order %j is refused with a word on what is wrong", async (body, words) => {
  const refused = await order(startSuite({ bindings: env }), body);
  expect(refused.status).toBe(400);
  expect(await refused.text()).toContain(words);
});

test("GET makes no token, and a deployed suite has no such route", async () => {
  const suite = startSuite({ bindings: env });
  expect((await suite.fetch("/local/token")).status).toBe(405);
  const deployed = startSuite({
    bindings: env,
    settings: {
      ...LOCAL_SETTINGS,
      IDENTITY: "access-edge",
      ACCESS_TEAM_DOMAIN: "https://team.cloudflareaccess.com",
      ACCESS_AUDIENCE: "aud",
    },
  });
  expect(await (await order(deployed, {})).text()).toBe("not mine");
});

test("a local token is worth nothing once Access signs people in", async () => {
  const token = await makeToken(startSuite({ bindings: env }));
  const settings = {
    ...LOCAL_SETTINGS,
    IDENTITY: "access-edge",
    ACCESS_TEAM_DOMAIN: "https://team.cloudflareaccess.com",
    ACCESS_AUDIENCE: "aud",
  };
  expect(await callerOf(startSuite({ bindings: env, settings }), "/mcp", token)).toBeUndefined();
});
