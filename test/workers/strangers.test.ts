import { createExecutionContext, reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, test } from "vitest";
import worker from "../../servers/worker.ts";
import { ENDPOINTS, ORIGIN } from "./auth-suite.ts";

afterEach(async () => {
  await reset();
});

const ROUTES = [
  ...ENDPOINTS,
  ...ENDPOINTS.map((endpoint) => `/.well-known/oauth-protected-resource${endpoint}`),
  "/.well-known/oauth-authorization-server",
  "/authorize",
  "/oauth/register",
  "/oauth/token",
  "/local/token",
  "/s/link",
  "/u/link",
  "/health",
  "/",
];

const METADATA = JSON.stringify({ redirect_uris: ["http://localhost:1/cb"], token_endpoint_auth_method: "none" });

async function ask(path: string, method: string, headers: Readonly<Record<string, string>>): Promise<Response> {
  const hasBody = method === "POST";
  const request = new Request<unknown, IncomingRequestCfProperties>(`${ORIGIN}${path}`, {
    method,
    redirect: "manual",
    headers: { ...headers, ...(hasBody ? { "Content-Type": "application/json" } : {}) },
    ...(hasBody ? { body: METADATA } : {}),
  });
  return await worker.fetch(request, env, createExecutionContext());
}

test.each(["GET", "POST", "OPTIONS"])("no route answers a %s under a stranger's Host", async (method) => {
  for (const path of ROUTES) {
    for (const host of ["evil.example", "evil.example:8717", "localhost.evil.example:8717", "localhost:8718"]) {
      const answer = await ask(path, method, { Host: host });
      expect.soft([path, host, answer.status]).toEqual([path, host, 421]);
    }
  }
  expect((await env.OAUTH_KV.list()).keys).toEqual([]);
});

test.each(["GET", "POST", "OPTIONS"])("no route answers a %s from a stranger's page", async (method) => {
  for (const path of ROUTES) {
    for (const origin of ["https://evil.example", "http://localhost.evil.example:8717", "null", "file://"]) {
      const answer = await ask(path, method, { Origin: origin });
      expect.soft([path, origin, answer.status]).toEqual([path, origin, 403]);
      expect.soft(answer.headers.get("Access-Control-Allow-Origin"), path).toBeNull();
    }
  }
  expect((await env.OAUTH_KV.list()).keys).toEqual([]);
});

test.each(["GET", "HEAD"])("a %s at /health that bears no token of ours is refused", async (method) => {
  for (const path of ["/health", "/admin/health"]) {
    expect([path, (await ask(path, method, { Authorization: "Bearer none" })).status]).toEqual([path, 401]);
  }
});

test("the same routes answer under their own name", async () => {
  for (const path of ROUTES) {
    const { status } = await ask(path, "GET", {});
    expect.soft([path, [421, 500].includes(status)]).toEqual([path, false]);
  }
  expect((await ask("/oauth/register", "POST", {})).status).toBe(201);
});
