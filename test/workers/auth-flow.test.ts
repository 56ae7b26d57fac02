import { reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, test } from "vitest";
import {
  ENDPOINTS,
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
  tokenAnswer,
} from "./auth-suite.ts";

afterEach(async () => {
  await reset();
});

test("a client registers, is allowed, and calls with what was ticked", async () => {
  const suite = startSuite({ bindings: env });
  const client = await register(suite);
  const form = await openConsent(suite, client);
  expect(form.status).toBe(200);
  const redirect = await press(suite, form, { scopes: ["files:read", "browser:read"] });
  expect(redirect.status).toBe(302);
  const location = new URL(redirect.headers.get("Location") ?? "");
  expect(`${location.origin}${location.pathname}`).toBe(REDIRECT);
  expect(location.searchParams.get("state")).toBe("the-state");
  expect(location.searchParams.get("iss")).toBe(ORIGIN);
  const answer = tokenAnswer.parse(await (await exchange(suite, client, codeOf(redirect))).json());
  expect(answer.scope).toBe("files:read browser:read");
  expect(await callerOf(suite, "/mcp", answer.access_token)).toEqual({
    userId: expect.stringMatching(/^[a-z0-9]{32}$/),
    role: "admin",
    scopes: ["files:read", "browser:read"],
    clientId: client.clientId,
  });
});

test("a client that names no resource signs in to the suite's own endpoint", async () => {
  const suite = startSuite({ bindings: env });
  const client = await register(suite);
  const url = new URL(await authorizeUrl(client), ORIGIN);
  url.searchParams.delete("resource");
  const form = await readForm(await suite.fetch(`${url.pathname}${url.search}`));
  const answer = await exchange(suite, client, codeOf(await press(suite, form)));
  const { access_token: token } = tokenAnswer.parse(await answer.json());
  expect(await callerOf(suite, "/mcp", token)).toBeDefined();
  expect(await callerOf(suite, "/mcp/files", token)).toBeUndefined();
});

test("each endpoint says where its metadata is, and the metadata leads to the one issuer", async () => {
  const suite = startSuite({ bindings: env });
  for (const endpoint of ENDPOINTS) {
    const refused = await suite.fetch(endpoint, { method: "POST" });
    const metadataUrl = `${ORIGIN}/.well-known/oauth-protected-resource${endpoint}`;
    expect(refused.status).toBe(401);
    expect(refused.headers.get("WWW-Authenticate")).toBe(`Bearer realm="OAuth", resource_metadata="${metadataUrl}"`);
    const metadata = await suite.fetch(metadataUrl);
    expect(metadata.status).toBe(200);
    expect(await metadata.json()).toEqual({
      resource: `${ORIGIN}${endpoint}`,
      authorization_servers: [ORIGIN],
      bearer_methods_supported: ["header"],
      resource_name: `Pincer ${endpoint}`,
    });
  }
  const issuer = await suite.fetch("/.well-known/oauth-authorization-server");
  const server = await issuer.json();
  // A client that would send its document then registers itself: this machine may have no internet to fetch it from.
  expect(server).not.toHaveProperty("client_id_metadata_document_supported", true);
  expect(server).toMatchObject({
    issuer: ORIGIN,
    authorization_endpoint: `${ORIGIN}/authorize`,
    token_endpoint: `${ORIGIN}/oauth/token`,
    registration_endpoint: `${ORIGIN}/oauth/register`,
    code_challenge_methods_supported: ["S256"],
    protected_resources: ENDPOINTS.map((endpoint) => `${ORIGIN}${endpoint}`),
    authorization_response_iss_parameter_supported: true,
    revocation_endpoint: `${ORIGIN}/oauth/token`,
    token_endpoint_auth_methods_supported: ["client_secret_basic", "client_secret_post", "none"],
  });
});

test("metadata of something that is no endpoint, and paths that are not ours, are left to the Worker", async () => {
  const suite = startSuite({ bindings: env });
  for (const path of ["/.well-known/oauth-protected-resource/mcp/other", "/.well-known/x", "/s/link", "/"]) {
    expect(await (await suite.fetch(path)).text(), path).toBe("not mine");
  }
});

test("a client that asks for no scope is offered what the endpoint uses, and never admin", async () => {
  const suite = startSuite({ bindings: env });
  const client = await register(suite);
  const offers: Record<string, readonly string[]> = {};
  for (const endpoint of ENDPOINTS) {
    const form = await openConsent(suite, client, { resource: `${ORIGIN}${endpoint}` });
    expect(form.ticked).toEqual(form.offered);
    offers[endpoint] = form.offered;
  }
  const everything = [
    "sandbox:exec",
    "interpreter:run",
    "files:read",
    "files:write",
    "browser:read",
    "browser:act",
    "delegate:run",
  ];
  expect(offers).toEqual({
    "/mcp": everything,
    "/mcp/sandbox": ["sandbox:exec", "files:read", "files:write"],
    "/mcp/interpreter": ["interpreter:run", "files:read", "files:write"],
    "/mcp/files": ["files:read", "files:write"],
    "/mcp/browser": ["browser:read", "browser:act"],
    "/mcp/delegate": everything,
  });
});

test("a client is offered what it asks for, without what nobody knows", async () => {
  const suite = startSuite({ bindings: env });
  const client = await register(suite);
  const form = await openConsent(suite, client, { scope: "openid files:read root browser:read" });
  expect(form.offered).toEqual(["files:read", "browser:read"]);
  const strangeOnly = await openConsent(suite, client, { scope: "openid email profile" });
  expect(strangeOnly.offered).toContain("sandbox:exec");
  const admin = await openConsent(suite, client, { scope: "admin files:read" });
  expect(admin.offered).toEqual(["files:read", "admin"]);
  expect(admin.ticked).toEqual(["files:read"]);
});

test("asking an endpoint only for what it does not use is refused on the page", async () => {
  const suite = startSuite({ bindings: env });
  const form = await openConsent(suite, await register(suite), {
    scope: "browser:read",
    resource: `${ORIGIN}/mcp/files`,
  });
  expect(form.status).toBe(403);
  expect(form.markup).toContain("There is nothing to allow");
});

test("running commands gives the files too, on the page and in the grant", async () => {
  const suite = startSuite({ bindings: env });
  const client = await register(suite);
  const form = await openConsent(suite, client);
  expect(form.markup).toContain("includes files:read and files:write");
  const redirect = await press(suite, form, { scopes: ["sandbox:exec"] });
  const answer = tokenAnswer.parse(await (await exchange(suite, client, codeOf(redirect))).json());
  expect(answer.scope).toBe("sandbox:exec files:read files:write");
});

test("what was left out last time is left unticked again, for that client at that endpoint alone", async () => {
  const suite = startSuite({ bindings: env });
  const client = await register(suite);
  const files = { resource: `${ORIGIN}/mcp/files` };
  const first = await openConsent(suite, client, files);
  expect(first.ticked).toEqual(["files:read", "files:write"]);
  await press(suite, first, { scopes: ["files:read"] });
  const second = await openConsent(suite, client, files);
  expect(second.offered).toEqual(["files:read", "files:write"]);
  expect(second.ticked).toEqual(["files:read"]);
  expect(second.markup.match(/You left this out last time/g)).toHaveLength(1);
  expect((await openConsent(suite, client)).ticked).toContain("files:write");
  expect((await openConsent(suite, await register(suite), files)).ticked).toEqual(first.ticked);
  await press(suite, second, { scopes: ["files:read", "files:write"] });
  expect((await openConsent(suite, client, files)).ticked).toEqual(first.ticked);
});

test("a client that was allowed before is asked about again, and Deny changes nothing of what is remembered", async () => {
  const suite = startSuite({ bindings: env });
  const client = await register(suite);
  await press(suite, await openConsent(suite, client));
  const again = await openConsent(suite, client);
  expect(again.status).toBe(200);
  expect((await press(suite, again, { code: "" })).status).toBe(403);
  await press(suite, await openConsent(suite, client), { scopes: [], decision: "deny" });
  expect((await openConsent(suite, client)).ticked).toEqual(again.ticked);
});

test("each answer to the client names the issuer, so that another server's cannot pass for it", async () => {
  const suite = startSuite({ bindings: env });
  const client = await register(suite);
  for (const decision of ["allow", "deny"]) {
    const answer = await press(suite, await openConsent(suite, client), { decision });
    const { searchParams } = new URL(answer.headers.get("Location") ?? "");
    expect(searchParams.get("iss"), decision).toBe(ORIGIN);
    expect(searchParams.get("state"), decision).toBe("the-state");
  }
});

test("with nothing ticked the page comes again, and works", async () => {
  const suite = startSuite({ bindings: env });
  const client = await register(suite);
  const again = await press(suite, await openConsent(suite, client), { scopes: [] });
  expect(again.status).toBe(400);
  const form = await readForm(again);
  expect(form.markup).toContain("Tick at least one thing");
  expect((await press(suite, form, { scopes: ["files:read"] })).status).toBe(302);
});

test("Deny goes back to the client with access_denied, and needs no code", async () => {
  const suite = startSuite({ bindings: env });
  const form = await openConsent(suite, await register(suite));
  const denied = await press(suite, form, { decision: "deny", code: "" });
  expect(denied.status).toBe(302);
  const location = new URL(denied.headers.get("Location") ?? "");
  expect(location.searchParams.get("error")).toBe("access_denied");
  expect(location.searchParams.get("state")).toBe("the-state");
  expect((await press(suite, form)).status).toBe(400);
});

test("the code is taken in any case, with or without its dash", async () => {
  const suite = startSuite({ bindings: env });
  const client = await register(suite);
  for (const code of ["wxyz2345", " WXYZ 2345 ", "wxyz-2345"]) {
    expect((await press(suite, await openConsent(suite, client), { code })).status, code).toBe(302);
  }
});

test("Cursor comes back through its own scheme, and the page shows the whole address", async () => {
  const suite = startSuite({ bindings: env });
  const cursor = "cursor://anysphere.cursor-mcp/oauth/callback";
  const client = await register(suite, { redirect_uris: [cursor, "http://localhost:8787/callback"] });
  const form = await openConsent(suite, client);
  expect(form.markup).toContain(cursor);
  const redirect = await press(suite, form);
  expect(redirect.headers.get("Location")).toMatch(/^cursor:\/\/anysphere\.cursor-mcp\/oauth\/callback\?code=/);
});

test("a tool's missing scope is a 403 that names what the token has and all that is needed", async () => {
  const suite = startSuite({ bindings: env, needs: ["sandbox:exec", "files:write"] });
  const { access_token: token } = await signIn(suite, { scope: "files:read" });
  const refused = await suite.fetch("/mcp", { method: "POST", headers: { Authorization: `Bearer ${token}` } });
  expect(refused.status).toBe(403);
  expect(refused.headers.get("WWW-Authenticate")).toBe(
    `Bearer realm="OAuth", error="insufficient_scope", scope="files:read sandbox:exec files:write", resource_metadata="${ORIGIN}/.well-known/oauth-protected-resource/mcp"`,
  );
});

test("another name of this machine reaches the same suite, and its browser goes on at the public one", async () => {
  const suite = startSuite({ bindings: env });
  const { access_token: token } = await signIn(suite);
  const origin = "http://127.0.0.1:8717";
  const called = await suite.fetch("/mcp", { origin, method: "POST", headers: { Authorization: `Bearer ${token}` } });
  expect(called.status).toBe(200);
  const moved = await suite.fetch("/authorize?client_id=x", { origin });
  expect(moved.status).toBe(307);
  expect(moved.headers.get("Location")).toBe(`${ORIGIN}/authorize?client_id=x`);
});
