import { listDurableObjectIds, reset, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, test } from "vitest";
import { RUNTIME, SIGNING_SECRET, USER_ID, WELL, check, localBrowser, sleepingContainers } from "./health-suite.ts";
import { LOCAL_SETTINGS } from "./auth-suite.ts";

afterEach(async () => {
  await reset();
});

const { LOCAL_SIGN_IN_CODE: _code, LOCAL_ADMIN_SECRET: _secret, ...COMMON } = LOCAL_SETTINGS;
const NO_LOCAL_SECRETS = { LOCAL_SIGN_IN_CODE: "", LOCAL_ADMIN_SECRET: "" };
const ISSUER = "https://team.cloudflareaccess.com/cdn-cgi/access/sso/oidc/client";
const OIDC = {
  ...NO_LOCAL_SECRETS,
  IDENTITY: "access-oidc",
  ACCESS_OIDC_ISSUER: ISSUER,
  ACCESS_OIDC_CLIENT_ID: "client",
  ACCESS_OIDC_CLIENT_SECRET: "upstream-client-secret",
};
const EDGE = {
  ...NO_LOCAL_SECRETS,
  IDENTITY: "access-edge",
  ACCESS_TEAM_DOMAIN: "https://team.cloudflareaccess.com",
  ACCESS_AUDIENCE: "the-audience-tag",
};
const KEYS = { keys: [{ kty: "RSA", kid: "k1" }] };
const discovery = (issuer = ISSUER) => ({
  issuer,
  authorization_endpoint: `${issuer}/authorization`,
  token_endpoint: `${issuer}/token`,
});
const MODEL = {
  MODEL_BASE_URL: "https://models.example/v1",
  MODEL_API_KEY: "sk-model-key",
  MODEL_DEFAULT: "gpt-6-sol",
};
const MODELS = "https://models.example/v1/models";

const LIMITS = {
  activeSessions: [],
  maxConcurrentSessions: 120,
  allowedBrowserAcquisitions: 1,
  timeUntilNextAllowedBrowserAcquisition: 0,
};

const fail = (): never => {
  throw new Error("internal error (10001)");
};
const brokenBinding = <T extends object>(binding: T): T => new Proxy(binding, { get: () => fail });

test("where all is well, each binding is tried and found so, in words", async () => {
  const open = new Set<string>();
  const { checks, errors, found } = await check({ browser: localBrowser(open) });
  expect(checks.map(({ name, state }) => [name, state])).toEqual([
    ["R2 bucket FILES", "ok"],
    ["R2 bucket SNAPSHOTS", "ok"],
    ["KV namespace OAUTH_KV", "ok"],
    ["Durable Object Account", "ok"],
    ["Durable Object ClientRegistry", "ok"],
    ["Durable Object BrowserSession", "ok"],
    ["Durable Object DelegateRun", "ok"],
    ["Durable Object SandboxSnapshots", "ok"],
    ["Durable Object UpstreamSession", "ok"],
    ["Durable Object Directory", "ok"],
    ["Sandbox driver", "ok"],
    ["Browser", "ok"],
    ["Model endpoint", "off"],
    ["Sign-in", "ok"],
    ["Signing secret", "ok"],
    ["Public address", "ok"],
  ]);
  expect(errors).toEqual([]);
  expect(found["Sandbox driver"]?.says).toBe("The local runtime answers; commands run in bubblewrap.");
  expect([...open]).toEqual([]);
});

test("checks leave no object and no key, and of Durable Objects what is there anyway and one empty one a class", async () => {
  const ids = async (namespace: DurableObjectNamespace): Promise<string[]> =>
    (await listDurableObjectIds(namespace)).map(String);
  const classes = [env.ACCOUNT, env.BROWSER_SESSION, env.DELEGATE_RUN, env.SANDBOX_SNAPSHOTS, env.UPSTREAM_SESSION];
  // Objects of other files' tests may be there still.
  const before = new Set((await Promise.all(classes.map(ids))).flat());
  await check();
  await check();
  const made = async (namespace: DurableObjectNamespace, expected: DurableObjectId): Promise<string[]> =>
    (await ids(namespace)).filter((id) => id === String(expected) || !before.has(id));
  for (const bucket of [env.FILES, env.SNAPSHOTS]) expect((await bucket.list()).objects).toEqual([]);
  expect((await env.OAUTH_KV.list()).keys).toEqual([]);
  const person = env.ACCOUNT.idFromName(USER_ID);
  expect(await made(env.ACCOUNT, person)).toEqual([String(person)]);
  for (const namespace of [env.BROWSER_SESSION, env.DELEGATE_RUN, env.SANDBOX_SNAPSHOTS, env.UPSTREAM_SESSION]) {
    const id = namespace.idFromName("health");
    expect(await made(namespace, id)).toEqual([String(id)]);
    const [keys, alarm] = await runInDurableObject(namespace.get(id), async (_object, { storage }) => [
      [...(await storage.list()).keys()],
      await storage.getAlarm(),
    ]);
    // A browser's keeps its name as soon as it starts, for the alarm that it never sets.
    expect([keys, alarm]).toEqual([namespace === env.BROWSER_SESSION ? ["name"] : [], null]);
  }
});

test.each([
  ["FILES", "R2 bucket FILES"],
  ["SNAPSHOTS", "R2 bucket SNAPSHOTS"],
  ["OAUTH_KV", "KV namespace OAUTH_KV"],
  ["ACCOUNT", "Durable Object Account"],
  ["CLIENT_REGISTRY", "Durable Object ClientRegistry"],
  ["BROWSER_SESSION", "Durable Object BrowserSession"],
  ["DELEGATE_RUN", "Durable Object DelegateRun"],
  ["SANDBOX_SNAPSHOTS", "Durable Object SandboxSnapshots"],
  ["UPSTREAM_SESSION", "Durable Object UpstreamSession"],
  ["DIRECTORY", "Durable Object Directory"],
] as const)("%s that fails is told as broken, with what to do, and alone", async (binding, name) => {
  const { broken, found, logged } = await check({ bindings: { [binding]: brokenBinding(env[binding]) } });
  expect(broken).toEqual([name]);
  expect(found[name]?.todo).toMatch(/\.$/);
  expect(JSON.stringify(found)).not.toContain("10001");
  expect(logged).toContain("10001");
});

test("a bucket that ignores conditions is broken, since files would be lost in it", async () => {
  const methods = {
    put: async (key: string, body: string) => await env.FILES.put(key, body),
    get: async (key: string) => await env.FILES.get(key),
    delete: async (key: string) => await env.FILES.delete(key),
  };
  const careless = new Proxy(env.FILES, {
    get: (_bucket, name) => new Map<unknown, unknown>(Object.entries(methods)).get(name),
  });
  expect((await check({ bindings: { FILES: careless } })).broken).toEqual(["R2 bucket FILES"]);
  expect((await env.FILES.list()).objects).toEqual([]);
});

test("what does not answer is given up after its time, and the rest is told", async () => {
  const silent = new Proxy(env.OAUTH_KV, { get: () => async () => await scheduler.wait(6_000) });
  const { found, broken } = await check({ bindings: { OAUTH_KV: silent }, limitMs: 3_000 });
  expect(broken).toEqual(["KV namespace OAUTH_KV"]);
  expect(found["KV namespace OAUTH_KV"]?.says).toBe("Nothing answered within 3 s.");
});

test.each([
  ["is down", {}, "broken", /does not answer/],
  ["knows another secret", { [RUNTIME]: () => new Response("Forbidden\n", { status: 403 }) }, "broken", /its secret/],
  ["is something else", { [RUNTIME]: () => new Response("<html>") }, "broken", /does not answer/],
  [
    "simulates",
    { [RUNTIME]: () => Response.json({ status: "ok", driver: "simulated", reason: "bubblewrap is missing." }) },
    "warning",
    /simulated shell.*bubblewrap is missing\.$/,
  ],
])("a local runtime that %s is told so", async (_what, servers, state, says) => {
  const driver = (await check({ servers })).found["Sandbox driver"];
  expect(driver?.state).toBe(state);
  expect(driver?.says).toMatch(says);
});

test("the local runtime is shown its secret", async () => {
  const seen: (string | null)[] = [];
  const servers = {
    [RUNTIME]: (request: Request) => {
      seen.push(request.headers.get("Authorization"));
      return Response.json({ status: "ok", driver: "local" });
    },
  };
  await check({ servers });
  expect(seen).toEqual([`Bearer ${LOCAL_SETTINGS.LOCAL_RUNTIME_SECRET}`]);
});

test("containers are asked how they are, and none is started", async () => {
  const container = { SANDBOX_DRIVER: "container", SANDBOX_SLEEP_AFTER: "3h" };
  const asked: string[] = [];
  const { found } = await check({
    settings: container,
    servers: {},
    bindings: { SANDBOX: sleepingContainers(asked) },
    browser: { fetch: async () => await Promise.resolve(Response.json(LIMITS)) },
  });
  expect(asked).toEqual([`idFromName ${USER_ID}-main`, `get ${USER_ID}-main`]);
  expect(found["Sandbox driver"]).toMatchObject({
    state: "ok",
    says: "Containers of the image container/Dockerfile, priced as standard-1; yours named main is asleep. None was started for this check.",
  });
  expect(found["Browser"]).toMatchObject({
    state: "ok",
    says: "Browser Run answers; 0 of 120 browsers are open. None was started for this check.",
  });
  expect(found["Sandbox sleep"]).toMatchObject({ state: "warning" });
  const away = await check({ settings: container, servers: {}, bindings: { SANDBOX: brokenBinding(env.SANDBOX) } });
  expect(away.found["Sandbox driver"]?.state).toBe("broken");
});

test.each([
  ["is not there", "local", "none", "warning"],
  ["is not bound", "container", "none", "broken"],
  ["does not start", "local", () => new Response("no", { status: 500 }), "broken"],
  ["does not answer", "container", () => new Response("no", { status: 500 }), "broken"],
  ["may not be started now", "container", () => Response.json({ ...LIMITS, allowedBrowserAcquisitions: 0 }), "warning"],
] as const)("a browser that %s is told so", async (_what, driver, browser, state) => {
  const binding = browser === "none" ? browser : { fetch: async () => await Promise.resolve(browser()) };
  const { found } = await check({ settings: { SANDBOX_DRIVER: driver }, browser: binding });
  expect(found["Browser"]?.state).toBe(state);
});

test.each([
  ["takes the key", () => Response.json({ data: [{ id: "gpt-6-sol" }] }), "ok", /takes the key\.$/],
  ["does not list the model", () => Response.json({ data: [{ id: "other" }] }), "warning", /MODEL_DEFAULT/],
  ["refuses the key", () => Response.json({ error: "Incorrect: sk-model-key" }, { status: 401 }), "broken", /401/],
  ["limits", () => new Response(null, { status: 429 }), "warning", /429/],
  ["fails", () => new Response(null, { status: 503 }), "broken", /503/],
  ["leads elsewhere", () => Response.redirect("https://elsewhere.example/", 302), "warning", /302/],
  ["has no list", () => new Response(null, { status: 404 }), "warning", /404/],
  ["cannot be reached", fail, "broken", /cannot be reached/],
] as const)("a model endpoint that %s is told so", async (_what, answer, state, says) => {
  const seen: string[] = [];
  const servers = {
    ...WELL,
    [MODELS]: (request: Request) => {
      seen.push(`${request.method} ${request.headers.get("Authorization")}`);
      return answer();
    },
  };
  const endpoint = (await check({ settings: MODEL, servers })).found["Model endpoint"];
  expect(endpoint?.state).toBe(state);
  expect(endpoint?.says).toMatch(says);
  expect(seen).toEqual(["GET Bearer sk-model-key"]);
});

test("models without a known price are told, since dollars do not bound them", async () => {
  const servers = { ...WELL, [MODELS]: () => Response.json({ data: [] }) };
  const stateOf = async (settings: Readonly<Record<string, string>>): Promise<string | undefined> =>
    (await check({ settings: { ...MODEL, ...settings }, servers })).found["Model prices"]?.state;
  expect(await stateOf({ MODEL_DEFAULT: "nobody-knows" })).toBe("warning");
  expect(await stateOf({ MODEL_DEFAULT: "openai/gpt-6-sol", MODEL_FALLBACKS: "nobody-knows" })).toBe("warning");
  expect(await stateOf({ MODEL_DEFAULT: "mine", MODEL_PRICES: '{"mine": {"input": 0, "output": 0}}' })).toBe("ok");
});

test.each([
  ["answers", { "/.well-known/openid-configuration": discovery(), "/jwks": KEYS }, "ok"],
  ["is down", {}, "broken"],
  ["publishes no keys", { "/.well-known/openid-configuration": discovery(), "/jwks": { keys: [] } }, "broken"],
  ["is another", { "/.well-known/openid-configuration": discovery(`${ISSUER}x`), "/jwks": KEYS }, "broken"],
])("an issuer that %s is told so", async (_what, answers, state) => {
  const entries = Object.entries(answers).map(
    ([path, body]) => [`${ISSUER}${path}`, () => Response.json(body)] as const,
  );
  const { found } = await check({ settings: OIDC, servers: { ...WELL, ...Object.fromEntries(entries) } });
  expect(found["Sign-in (access-oidc)"]?.state).toBe(state);
});

test("an Access team whose keys cannot be fetched is told so", async () => {
  const url = "https://team.cloudflareaccess.com/cdn-cgi/access/certs";
  const stateWith = async (answer: () => Response): Promise<string | undefined> =>
    (await check({ settings: EDGE, servers: { ...WELL, [url]: answer } })).found["Sign-in (access-edge)"]?.state;
  expect(await stateWith(() => Response.json(KEYS))).toBe("ok");
  expect(await stateWith(() => new Response("no such team", { status: 404 }))).toBe("broken");
  expect(await stateWith(fail)).toBe("broken");
});

test("settings that nobody would want are warned of", async () => {
  const weak = await check({ settings: { SIGNING_SECRET: "secret-secret-secret-secret-secret" } });
  expect(weak.found["Signing secret"]?.state).toBe("warning");
  expect((await check({ origin: "http://127.0.0.1:8717" })).found["Public address"]?.state).toBe("ok");
  expect((await check({ origin: "https://elsewhere.example" })).found["Public address"]?.state).toBe("warning");
  const plain = { ...EDGE, PUBLIC_URL: "http://pincer.example.com" };
  const { found } = await check({ settings: plain, origin: "http://pincer.example.com" });
  expect(found["Public address"]?.says).toContain("in clear");
});

test("a clock that is off is told, where an answer shows the time", async () => {
  const nowMs = Date.parse("2026-11-28T12:00:00Z");
  const at = (date: string) => ({
    [RUNTIME]: () => Response.json({ status: "ok", driver: "local" }, { headers: { Date: date } }),
  });
  const right = await check({ nowMs, servers: at("Sat, 28 Nov 2026 12:00:01 GMT") });
  expect(right.found["Clock"]?.state).toBe("ok");
  const wrong = await check({ nowMs, servers: at("Sat, 28 Nov 2026 11:58:00 GMT") });
  expect(wrong.found["Clock"]).toMatchObject({ state: "warning", says: expect.stringContaining("120 s off") });
});

test("the last errors are told by reference, with the name of whose call it was", async () => {
  const directory = env.DIRECTORY.get(env.DIRECTORY.idFromName("directory"));
  await directory.notePerson({ userId: USER_ID, displayName: "ann@example.com", role: "member" }, 1_000);
  const broken = (reference: string, atMs: number) => ({ reference, atMs, tool: "files_read" });
  const batch = { sequence: 1, lastAtMs: 2_000, deltas: [] };
  await directory.tell(USER_ID, { ...batch, broken: [broken("first", 1_000), broken("second", 2_000)] });
  await directory.tell("b".repeat(32), { ...batch, broken: [broken("third", 3_000)] });
  expect((await check()).errors).toEqual([
    { reference: "third", at: "1970-01-01T00:00:03.000Z", tool: "files_read", user_id: "b".repeat(32), person: "" },
    {
      reference: "second",
      at: "1970-01-01T00:00:02.000Z",
      tool: "files_read",
      user_id: USER_ID,
      person: "ann@example.com",
    },
    {
      reference: "first",
      at: "1970-01-01T00:00:01.000Z",
      tool: "files_read",
      user_id: USER_ID,
      person: "ann@example.com",
    },
  ]);
});

/** Says back all that it was sent, as servers do with what they refuse. */
const echo = (status: number) => (request: Request) =>
  Response.json({ error: [...request.headers].map(([name, value]) => `${name}: ${value}`) }, { status });

test.each([200, 400, 401, 500])(
  "no secret is in a report or its log, whatever servers say back with %i",
  async (status) => {
    const secrets = {
      MODEL_API_KEY: "sk-model-key-0123456789",
      SECRET_EXAMPLE: "Bearer sandbox-secret-0123456789",
      SANDBOX_SECRETS: '{"api.example.com": {"authorization": "SECRET_EXAMPLE"}}',
      ALLOWED_HOSTS: "api.example.com",
    };
    const urls = [RUNTIME, MODELS, `${ISSUER}/.well-known/openid-configuration`, `${ISSUER}/jwks`];
    const servers = Object.fromEntries(urls.map((url) => [url, echo(status)]));
    for (const identity of [{}, OIDC, EDGE]) {
      const settings = { ...COMMON, ...MODEL, ...secrets, SIGNING_SECRET, ...identity };
      const { checks, versions, errors, logged } = await check({ settings, servers });
      const told = `${JSON.stringify({ checks, versions, errors })}\n${logged}`;
      const hidden = Object.entries({ ...LOCAL_SETTINGS, ...settings }).filter(([name]) =>
        /SECRET|KEY|CODE/.test(name),
      );
      for (const [name, value] of hidden) if (value !== "") expect.soft(told.includes(value), name).toBe(false);
    }
  },
);
