import { reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, test, vi } from "vitest";
import { Visit } from "./account-suite.ts";
import {
  ADMIN_SECRET,
  type TestBindings,
  callerOf,
  exchange,
  openConsent,
  press,
  refresh,
  register,
  signIn,
  startSuite,
} from "./auth-suite.ts";
import { openUpstream, startOidcSuite } from "./oidc-suite.ts";

/* Whoever guesses at secrets, however often: what it costs the suite, and what its answers could tell. */

afterEach(async () => {
  vi.restoreAllMocks();
  await reset();
});

/** The tests' bindings, with a note of each look into them. */
function watchedBindings(): { readonly bindings: TestBindings; readonly looks: string[] } {
  const looks: string[] = [];
  const watched = <T extends object>(binding: T, name: string): T =>
    new Proxy(binding, {
      get: (target, method) => {
        const value: unknown = Reflect.get(target, method);
        if (typeof value !== "function") return value;
        return (...input: unknown[]): unknown => {
          looks.push(`${name}.${String(method)}`);
          return Reflect.apply(value, target, input);
        };
      },
    });
  return {
    looks,
    bindings: {
      ...env,
      OAUTH_KV: watched(env.OAUTH_KV, "kv"),
      ACCOUNT: watched(env.ACCOUNT, "account"),
      CLIENT_REGISTRY: watched(env.CLIENT_REGISTRY, "clients"),
    },
  };
}

const hex = (bytes: number): string => crypto.getRandomValues(new Uint8Array(bytes)).toHex();

test("a guess at a personal token is refused before anything is looked up", async () => {
  const { bindings, looks } = watchedBindings();
  const suite = startSuite({ bindings });
  const visit = new Visit(suite);
  await visit.signIn();
  const genuine = await visit.makeToken({ scopes: ["files:read"] });
  const [, userId = "", secret = "", mac = ""] = genuine.split("_");
  looks.length = 0;
  for (let guess = 0; guess < 25; guess += 1) {
    const guesses = [
      `pincer_${userId}_${hex(32)}_${hex(16)}`,
      `pincer_${userId}_${hex(32)}_${mac}`,
      `pincer_${userId}_${secret}_${hex(16)}`,
      `pincer_${hex(16)}_${hex(32)}_${hex(16)}`,
    ];
    for (const token of guesses) expect(await callerOf(suite, "/mcp", token)).toBeUndefined();
  }
  expect(looks).toEqual([]);
  expect(await callerOf(suite, "/mcp", genuine)).toBeDefined();
  expect(looks).toContain("account.get");
});

test("a guess at an OAuth token, a code or a refresh token wakes nobody, and ends nothing of whom it names", async () => {
  const { bindings, looks } = watchedBindings();
  const suite = startSuite({ bindings });
  const { client, ...tokens } = await signIn(suite);
  const [userId = "", grantId = ""] = tokens.access_token.split(":");
  looks.length = 0;
  for (let guess = 0; guess < 25; guess += 1) {
    for (const token of [`${userId}:${grantId}:${hex(16)}`, `${hex(16)}:${grantId}:${hex(16)}`]) {
      expect(await callerOf(suite, "/mcp", token)).toBeUndefined();
    }
  }
  // One record each, which a guess does not find.
  expect(looks).toEqual(Array.from({ length: 50 }, () => "kv.get"));
  looks.length = 0;
  for (let guess = 0; guess < 25; guess += 1) {
    const stranger = `${hex(16)}:${hex(8)}:${hex(16)}`;
    expect((await exchange(suite, client, stranger)).status).toBe(400);
    expect((await refresh(suite, client, stranger)).status).toBe(400);
  }
  expect(looks.filter((look) => look.startsWith("account."))).toEqual([]);
  expect((await exchange(suite, client, `${userId}:${grantId}:${hex(16)}`)).status).toBe(400);
  expect((await refresh(suite, client, `${userId}:${grantId}:${hex(16)}`)).status).toBe(400);
  expect(await callerOf(suite, "/mcp", tokens.access_token)).toBeDefined();
  expect((await refresh(suite, client, tokens.refresh_token)).status).toBe(200);
});

test("whatever is guessed at is compared in a time that tells nothing of it", async () => {
  const comparisons = vi.spyOn(crypto.subtle, "timingSafeEqual");
  const suite = startSuite({ bindings: env });
  const visit = new Visit(suite);
  await visit.signIn();
  const token = await visit.makeToken({ scopes: ["files:read"] });
  const form = await openConsent(suite, await register(suite));
  const { suite: oidc } = await startOidcSuite();
  const upstream = await openUpstream(oidc, await register(oidc));
  const worse = (secret: string): string => `${secret.slice(0, -1)}${secret.endsWith("0") ? "1" : "0"}`;
  const local = { method: "POST", headers: { Authorization: `Bearer ${worse(ADMIN_SECRET)}` } };
  const guesses: Record<string, () => Promise<Response>> = {
    "personal token": async () =>
      await suite.fetch("/mcp", { method: "POST", headers: { Authorization: `Bearer ${worse(token)}` } }),
    "sign-in code": async () => await press(suite, form, { code: "WXYZ-2346" }),
    "launcher's secret": async () => await suite.fetch("/local/token", local),
    "session's cookie": async () => await visit.get("/account", worse(visit.cookie)),
    "form's key": async () => await visit.post("/account/revoke", { key: worse((await visit.read()).key) }),
    "person of a consent form": async () =>
      await press(oidc, { ...upstream, person: worse((upstream.person ?? "").slice(0, 32)) }),
  };
  for (const [name, guess] of Object.entries(guesses)) {
    comparisons.mockClear();
    await guess();
    const refusals = comparisons.mock.results.filter(({ value }) => value === false);
    expect([name, refusals.length]).toEqual([name, 1]);
  }
});
