import { reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, test } from "vitest";
import * as z from "zod";
import {
  callerOf,
  codeOf,
  exchange,
  openConsent,
  press,
  refresh,
  register,
  revoke,
  signIn,
  startSuite,
  tokenAnswer,
} from "./auth-suite.ts";

afterEach(async () => {
  await reset();
});

test("a refresh gives new tokens with the same scopes, and narrower ones where asked", async () => {
  const suite = startSuite({ bindings: env });
  const { client, ...first } = await signIn(suite, { scope: "files:read files:write" });
  const second = tokenAnswer.parse(await (await refresh(suite, client, first.refresh_token)).json());
  expect(second.access_token).not.toBe(first.access_token);
  expect(second.refresh_token).not.toBe(first.refresh_token);
  expect(second.scope).toBe("files:read files:write");
  const narrow = await refresh(suite, client, second.refresh_token, { scope: "files:read browser:read" });
  const { access_token: token } = tokenAnswer.parse(await narrow.json());
  expect((await callerOf(suite, "/mcp", token))?.scopes).toEqual(["files:read"]);
});

test("a refresh token that was used before ends its grant, whoever comes with it", async () => {
  const suite = startSuite({ bindings: env });
  const { client, ...first } = await signIn(suite);
  const second = tokenAnswer.parse(await (await refresh(suite, client, first.refresh_token)).json());
  expect(await callerOf(suite, "/mcp", second.access_token)).toBeDefined();
  suite.clock.nowMs += 5_000;
  const replayed = await refresh(suite, client, first.refresh_token);
  expect(replayed.status).toBe(400);
  expect(await replayed.json()).toEqual({
    error: "invalid_grant",
    error_description: "This refresh token was used before, so its grant has ended; sign in again.",
  });
  expect(await callerOf(suite, "/mcp", second.access_token)).toBeUndefined();
  expect((await refresh(suite, client, second.refresh_token)).status).toBe(400);
});

test("a thief who refreshes first is thrown out when the client refreshes", async () => {
  const suite = startSuite({ bindings: env });
  const { client, refresh_token: stolen } = await signIn(suite);
  const thief = tokenAnswer.parse(await (await refresh(suite, client, stolen)).json());
  const later = tokenAnswer.parse(await (await refresh(suite, client, thief.refresh_token)).json());
  expect((await refresh(suite, client, stolen)).status).toBe(400);
  expect(await callerOf(suite, "/mcp", later.access_token)).toBeUndefined();
  expect((await refresh(suite, client, later.refresh_token)).status).toBe(400);
});

test("a refresh that comes again within seconds gets the same tokens, until they are refreshed themselves", async () => {
  const suite = startSuite({ bindings: env });
  const { client, refresh_token: token } = await signIn(suite);
  const first = await (await refresh(suite, client, token)).text();
  suite.clock.nowMs += 4_999;
  const again = await refresh(suite, client, token);
  expect(again.headers.get("Cache-Control")).toBe("no-store");
  expect(await again.text()).toBe(first);
  const { refresh_token: next } = tokenAnswer.parse(JSON.parse(first));
  const third = tokenAnswer.parse(await (await refresh(suite, client, next)).json());
  expect((await refresh(suite, client, token)).status).toBe(400);
  expect(await callerOf(suite, "/mcp", third.access_token)).toBeUndefined();
});

test("equal refreshes at the same time are one", async () => {
  const suite = startSuite({ bindings: env });
  const { client, refresh_token: token } = await signIn(suite);
  const responses = await Promise.all(Array.from({ length: 8 }, async () => await refresh(suite, client, token)));
  const answers = await Promise.all(responses.map(async (response) => tokenAnswer.parse(await response.json())));
  expect(new Set(answers.map((answer) => answer.refresh_token)).size).toBe(1);
  const [answer] = answers;
  expect(await callerOf(suite, "/mcp", answer?.access_token ?? "")).toBeDefined();
  expect((await refresh(suite, client, answer?.refresh_token ?? "")).status).toBe(200);
});

test("of different refreshes at the same time one is answered, and the grant ends", async () => {
  const suite = startSuite({ bindings: env });
  const { client, refresh_token: token } = await signIn(suite);
  const responses = await Promise.all(
    ["files:read", "browser:read"].map(async (scope) => await refresh(suite, client, token, { scope })),
  );
  expect(new Set(responses.map(({ status }) => status))).toEqual(new Set([200, 400]));
  const answers = await Promise.all(responses.map(async (response) => await response.text()));
  const [won] = answers.map((text) => tokenAnswer.safeParse(JSON.parse(text))).filter(({ success }) => success);
  expect((await refresh(suite, client, won?.data?.refresh_token ?? "")).status).toBe(400);
});

test("a refresh that is refused spends nothing", async () => {
  const suite = startSuite({ bindings: env });
  const { client, refresh_token: token } = await signIn(suite);
  const stranger = await register(suite);
  expect((await refresh(suite, stranger, token)).status).toBe(400);
  expect((await refresh(suite, { ...client, clientId: "nobody" }, token)).status).toBe(401);
  expect((await refresh(suite, client, token, { resource: "https://evil.example/mcp" })).status).toBe(400);
  expect((await refresh(suite, client, token)).status).toBe(200);
});

test("made-up refresh tokens end no grant", async () => {
  const suite = startSuite({ bindings: env });
  const { client, ...tokens } = await signIn(suite);
  const [userId = "", grantId = ""] = tokens.refresh_token.split(":");
  for (const token of [
    `${userId}:${grantId}:${"x".repeat(32)}`,
    `${userId}:${"g".repeat(16)}:${"x".repeat(32)}`,
    ":",
  ]) {
    expect((await refresh(suite, client, token)).status, token).toBe(400);
    expect((await refresh(suite, client, token)).status, token).toBe(400);
  }
  expect(await callerOf(suite, "/mcp", tokens.access_token)).toBeDefined();
  expect((await refresh(suite, client, tokens.refresh_token)).status).toBe(200);
});

test("a revoked access token is refused at once, and its grant goes on", async () => {
  const suite = startSuite({ bindings: env });
  const { client, ...tokens } = await signIn(suite);
  expect(await callerOf(suite, "/mcp", tokens.access_token)).toBeDefined();
  expect(await revoke(suite, client, tokens.access_token)).toBe(200);
  expect(await callerOf(suite, "/mcp", tokens.access_token)).toBeUndefined();
  expect((await refresh(suite, client, tokens.refresh_token)).status).toBe(200);
});

test.each(["refresh_token", "access_token", undefined])(
  "a revoked refresh token ends its grant at once, with the hint %s",
  async (hint) => {
    const suite = startSuite({ bindings: env });
    const { client, ...tokens } = await signIn(suite);
    expect(await callerOf(suite, "/mcp", tokens.access_token)).toBeDefined();
    expect(await revoke(suite, client, tokens.refresh_token, hint)).toBe(200);
    expect(await callerOf(suite, "/mcp", tokens.access_token)).toBeUndefined();
    expect((await refresh(suite, client, tokens.refresh_token)).status).toBe(400);
  },
);

test("what was revoked in another isolate is refused within 30 s", async () => {
  const [here, elsewhere] = [startSuite({ bindings: env }), startSuite({ bindings: env })];
  const { client, access_token: token } = await signIn(here);
  expect(await callerOf(here, "/mcp", token)).toBeDefined();
  expect(await revoke(elsewhere, client, token)).toBe(200);
  here.clock.nowMs += 30_001;
  expect(await callerOf(here, "/mcp", token)).toBeUndefined();
});

test.each(["reused", "revoked"])(
  "a grant whose refresh token was %s stays ended where KV still shows it",
  async (how) => {
    const suite = startSuite({ bindings: env });
    const { client, ...first } = await signIn(suite);
    const second = tokenAnswer.parse(await (await refresh(suite, client, first.refresh_token)).json());
    const [key] = (await env.OAUTH_KV.list({ prefix: "grant:" })).keys;
    const shown = await env.OAUTH_KV.get(key?.name ?? "");
    suite.clock.nowMs += 5_000;
    if (how === "reused") await refresh(suite, client, first.refresh_token);
    else await revoke(suite, client, second.refresh_token);
    await env.OAUTH_KV.put(key?.name ?? "", shown ?? "");
    expect((await refresh(suite, client, second.refresh_token)).status).toBe(400);
    expect((await env.OAUTH_KV.list({ prefix: "grant:" })).keys).toEqual([]);
  },
);

test("a client cannot revoke what another was given", async () => {
  const suite = startSuite({ bindings: env });
  const { client, ...tokens } = await signIn(suite);
  const stranger = await register(suite);
  expect(await revoke(suite, stranger, tokens.access_token)).toBe(200);
  expect(await revoke(suite, stranger, tokens.refresh_token)).toBe(200);
  expect(await callerOf(suite, "/mcp", tokens.access_token)).toBeDefined();
  expect((await refresh(suite, client, tokens.refresh_token)).status).toBe(200);
});

test("a replayed code ends the grant that it had given, at once", async () => {
  const suite = startSuite({ bindings: env });
  const client = await register(suite);
  const code = codeOf(await press(suite, await openConsent(suite, client)));
  const tokens = tokenAnswer.parse(await (await exchange(suite, client, code)).json());
  expect(await callerOf(suite, "/mcp", tokens.access_token)).toBeDefined();
  expect((await exchange(suite, client, code)).status).toBe(400);
  expect(await callerOf(suite, "/mcp", tokens.access_token)).toBeUndefined();
  expect((await refresh(suite, client, tokens.refresh_token)).status).toBe(400);
});

test("a person is known for 400 days from their last sign-in on, and while a client refreshes for them", async () => {
  const suite = startSuite({ bindings: env });
  const { client, ...first } = await signIn(suite);
  const kept = async (): Promise<{ days: number; seenAtMs: number }> => {
    const [person] = (await env.OAUTH_KV.list({ prefix: "person:" })).keys;
    const { seenAtMs } = z.object({ seenAtMs: z.number() }).parse(person?.metadata);
    return { days: ((person?.expiration ?? Infinity) - Date.now() / 1_000) / 86_400, seenAtMs };
  };
  const { days, seenAtMs } = await kept();
  expect(days).toBeCloseTo(400, 1);
  expect(seenAtMs).toBe(suite.clock.nowMs);
  suite.clock.nowMs += 29 * 86_400_000;
  const second = tokenAnswer.parse(await (await refresh(suite, client, first.refresh_token)).json());
  expect((await kept()).seenAtMs).toBe(seenAtMs);
  suite.clock.nowMs += 2 * 86_400_000;
  expect((await refresh(suite, client, second.refresh_token)).status).toBe(200);
  expect((await kept()).seenAtMs).toBe(suite.clock.nowMs);
  // A made-up person does not come to be known by that.
  await refresh(suite, client, `${"0".repeat(32)}:${"a".repeat(16)}:${"b".repeat(32)}`);
  expect((await env.OAUTH_KV.list({ prefix: "person:" })).keys).toHaveLength(1);
  suite.clock.nowMs += 86_400_000;
  await signIn(suite);
  expect((await kept()).seenAtMs).toBe(suite.clock.nowMs);
});
