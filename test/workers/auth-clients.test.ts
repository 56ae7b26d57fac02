import { reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, test } from "vitest";
import {
  LOCAL_SETTINGS,
  ORIGIN,
  REDIRECT,
  type Suite,
  authorizeUrl,
  codeOf,
  exchange,
  openConsent,
  press,
  refresh,
  register,
  signIn,
  startSuite,
  tokenAnswer,
} from "./auth-suite.ts";

const HOUR_MS = 60 * 60 * 1000;
const DAY_SECONDS = 24 * 60 * 60;

afterEach(async () => {
  await reset();
});

async function tryRegister(
  suite: Suite,
  metadata: Readonly<Record<string, unknown>> = {},
  address = "192.0.2.1",
): Promise<Response> {
  return await suite.fetch("/oauth/register", {
    method: "POST",
    headers: { "Content-Type": "application/json", "CF-Connecting-IP": address },
    body: JSON.stringify({ redirect_uris: [REDIRECT], token_endpoint_auth_method: "none", ...metadata }),
  });
}

test("a hundred clients may register from one network in an hour", async () => {
  const suite = startSuite({ bindings: env });
  const statuses = [];
  for (let count = 0; count < 101; count += 1) statuses.push((await tryRegister(suite)).status);
  expect(statuses).toEqual([...Array<number>(100).fill(201), 429]);
  const refused = await tryRegister(suite);
  expect(Number(refused.headers.get("Retry-After"))).toBeGreaterThan(3_500);
  expect(await refused.json()).toMatchObject({ error: "temporarily_unavailable" });
  expect((await env.OAUTH_KV.list({ prefix: "client:" })).keys).toHaveLength(100);
  expect((await tryRegister(suite, {}, "192.0.2.2")).status).toBe(201);
  suite.clock.nowMs += HOUR_MS + 1;
  expect((await tryRegister(suite)).status).toBe(201);
});

test("a flood in parallel gets no more in, and one network of IPv6 counts as one", async () => {
  const suite = startSuite({ bindings: env });
  const flood = Array.from({ length: 130 }, async (_, host) => {
    return (await tryRegister(suite, {}, `2001:db8:1:2::${(host + 1).toString(16)}`)).status;
  });
  const statuses = await Promise.all(flood);
  expect(statuses.filter((status) => status === 201)).toHaveLength(100);
  expect(statuses.filter((status) => status === 429)).toHaveLength(30);
});

test("a thousand clients may register in an hour from wherever", async () => {
  const registry = env.CLIENT_REGISTRY.get(env.CLIENT_REGISTRY.idFromName("clients"));
  const suite = startSuite({ bindings: env });
  for (let count = 0; count < 1_000; count += 1) {
    const admitted = await registry.admitRegistration(`network-${count % 20}`, suite.clock.nowMs);
    expect(admitted.isAllowed).toBe(true);
  }
  expect((await tryRegister(suite, {}, "198.51.100.7")).status).toBe(429);
  suite.clock.nowMs += HOUR_MS;
  expect((await tryRegister(suite, {}, "198.51.100.7")).status).toBe(201);
});

test("a client that never signs in is kept for a day, one that does for ninety", async () => {
  const suite = startSuite({ bindings: env });
  const nowSeconds = Math.floor(Date.now() / 1000);
  const daysOf = async (clientId: string): Promise<number> => {
    const { keys } = await env.OAUTH_KV.list({ prefix: `client:${clientId}` });
    return Math.round(((keys[0]?.expiration ?? 0) - nowSeconds) / DAY_SECONDS);
  };
  const idle = await register(suite);
  expect(await daysOf(idle.clientId)).toBe(1);
  const { client, refresh_token: token } = await signIn(suite);
  expect(await daysOf(client.clientId)).toBe(90);
  expect((await refresh(suite, client, token)).status).toBe(200);
  expect(await daysOf(client.clientId)).toBe(90);
});

test.each([
  "javascript:alert(1)//",
  "data:text/html,x",
  "file:///etc/passwd",
  "http://evil.example/cb",
  "https://user:pw@claude.ai/api/mcp/auth_callback",
  "https://claude.ai/api/mcp/auth_callback#x",
  "https://*.claude.ai/api/mcp/auth_callback",
])("a client cannot register to come back through %s, even beside a good address", async (redirectUri) => {
  const suite = startSuite({ bindings: env });
  expect((await tryRegister(suite, { redirect_uris: [REDIRECT, redirectUri] })).status).toBe(400);
  expect((await env.OAUTH_KV.list({ prefix: "client:" })).keys).toEqual([]);
});

test.each(["https://evil.example/cb", "https://claude.ai.evil.example/api/mcp/auth_callback", "evil.app://claude.ai/"])(
  "a client of nobody known at %s is neither registered nor sent a code",
  async (redirectUri) => {
    const suite = startSuite({ bindings: env });
    const alone = await tryRegister(suite, { client_name: "Claude", redirect_uris: [redirectUri] });
    expect(alone.status).toBe(400);
    expect(await alone.json()).toMatchObject({ error: "invalid_redirect_uri" });
    const beside = await register(suite, { client_name: "Claude", redirect_uris: [redirectUri, REDIRECT] });
    const page = await openConsent(suite, beside);
    expect(page.status).toBe(400);
    expect(page.headers.get("Location")).toBeNull();
    expect(page.markup).toContain(`sent to ${redirectUri}, which Pincer does not know`);
    expect(page.handle).toBe("");
  },
);

test.each([
  { name: "Claude", redirect_uris: ["https://claude.ai/api/mcp/auth_callback"] },
  { name: "Claude", redirect_uris: ["https://claude.com/api/mcp/auth_callback"] },
  { name: "ChatGPT", redirect_uris: ["https://chatgpt.com/connector/oauth/Ab3_x-9"] },
  {
    name: "Cursor",
    redirect_uris: [
      "cursor://anysphere.cursor-mcp/oauth/callback",
      "https://www.cursor.com/agents/mcp/oauth/callback",
      "http://localhost:8787/callback",
    ],
  },
  {
    name: "VS Code",
    redirect_uris: ["https://vscode.dev/redirect", "http://127.0.0.1/", "http://127.0.0.1:33418/", "http://localhost/"],
  },
  { name: "Claude Code", redirect_uris: ["http://localhost:61234/callback"] },
  { name: "mcp-remote", redirect_uris: ["http://localhost:3334/oauth/callback"] },
  { name: "Inspector", redirect_uris: ["http://localhost:6274/oauth/callback"] },
])("$name signs in through each of its addresses", async ({ name, redirect_uris: addresses }) => {
  const suite = startSuite({ bindings: env });
  const client = await register(suite, { client_name: name, redirect_uris: addresses });
  for (const redirectUri of addresses) {
    const form = await openConsent(suite, { ...client, redirectUri });
    expect(form.markup).toContain(`Allow “${name}” to use Pincer for you?`);
    const answer = await press(suite, form);
    expect(answer.headers.get("Location")).toMatch(new RegExp(`^${RegExp.escape(redirectUri)}\\?code=`));
    expect((await exchange(suite, { ...client, redirectUri }, codeOf(answer))).status).toBe(200);
  }
});

test("an app that listens on this machine may choose its port anew each time", async () => {
  const suite = startSuite({ bindings: env });
  const client = { ...(await register(suite)), redirectUri: "http://localhost:50123/callback" };
  const answer = await press(suite, await openConsent(suite, client));
  expect(answer.headers.get("Location")).toMatch(/^http:\/\/localhost:50123\/callback\?code=/);
  const elsewhere = { ...client, redirectUri: "http://localhost:50123/other" };
  expect((await openConsent(suite, elsewhere)).status).toBe(400);
});

test("REDIRECT_URIS lets a client of the operator's choice in", async () => {
  const settings = { ...LOCAL_SETTINGS, REDIRECT_URIS: "https://agents.example.com/oauth/" };
  const suite = startSuite({ bindings: env, settings });
  const client = await register(suite, { redirect_uris: ["https://agents.example.com/oauth/callback"] });
  const form = await openConsent(suite, client);
  expect(form.markup).toContain("<dd>agents.example.com</dd>");
  expect((await press(suite, form)).status).toBe(302);
});

const CI = { name: "Nightly build", redirect_uris: ["https://ci.example.com/cb"] };

test("a client that the settings name signs in without registering, at its own address alone", async () => {
  const settings = { ...LOCAL_SETTINGS, PREREGISTERED_CLIENTS: JSON.stringify({ ci: CI }) };
  const suite = startSuite({ bindings: env, settings });
  const client = { clientId: "ci", redirectUri: "https://ci.example.com/cb", verifier: "v".repeat(64) };
  const form = await openConsent(suite, client);
  expect(form.markup).toContain("Allow “Nightly build” to use Pincer for you?");
  expect(form.markup).toContain("Whoever runs this Pincer has registered the app under this name.");
  expect(form.markup).toContain("<dd>ci.example.com</dd>");
  const answer = await exchange(suite, client, codeOf(await press(suite, form)));
  const { refresh_token: token } = tokenAnswer.parse(await answer.json());
  expect((await refresh(suite, client, token)).status).toBe(200);
  expect((await openConsent(suite, { ...client, redirectUri: "https://ci.example.com/other" })).status).toBe(400);
  expect((await env.OAUTH_KV.list({ prefix: "client:" })).keys).toEqual([]);
  const without = startSuite({ bindings: env });
  expect((await openConsent(without, client)).status).toBe(400);
  expect((await openConsent(suite, { ...client, clientId: "constructor" })).status).toBe(400);
});

test("a client with a secret in the settings has to show it", async () => {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode("its secret"));
  const ci = { ...CI, secret_sha256: new Uint8Array(digest).toHex() };
  const settings = { ...LOCAL_SETTINGS, PREREGISTERED_CLIENTS: JSON.stringify({ ci }) };
  const suite = startSuite({ bindings: env, settings });
  const client = { clientId: "ci", redirectUri: "https://ci.example.com/cb", verifier: "v".repeat(64) };
  const code = codeOf(await press(suite, await openConsent(suite, client)));
  expect((await exchange(suite, client, code)).status).toBe(401);
  expect((await exchange(suite, client, code, { client_secret: "another" })).status).toBe(401);
  expect((await exchange(suite, client, code, { client_secret: ci.secret_sha256 })).status).toBe(401);
  expect((await exchange(suite, client, code, { client_secret: "its secret" })).status).toBe(200);
});

test("an error of a registered client's request is shown here, and sends the browser nowhere", async () => {
  const suite = startSuite({ bindings: env });
  const client = await register(suite, { redirect_uris: ["https://claude.ai/api/mcp/auth_callback"] });
  for (const wrong of [{ response_type: "token" }, { resource: `${ORIGIN}/elsewhere` }, { code_challenge: "" }]) {
    const page = await suite.fetch(await authorizeUrl(client, wrong));
    expect([page.status, page.headers.get("Location"), page.headers.get("Refresh")]).toEqual([400, null, null]);
  }
});

test("a client that is unknown, or forgotten by now, is told about in words for the person", async () => {
  const suite = startSuite({ bindings: env });
  const client = await register(suite);
  await env.OAUTH_KV.delete(`client:${client.clientId}`);
  const page = await openConsent(suite, client);
  expect(page.status).toBe(400);
  expect(page.markup).toContain("has forgotten it since. Remove the connection in the app, and add it again.");
});
