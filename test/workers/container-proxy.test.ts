import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ContainerProxy } from "../../servers/worker.ts";

const SECRET = "Bearer key-that-nobody-inside-may-see";

const SETTINGS = {
  PUBLIC_URL: "https://pincer.example.com",
  IDENTITY: "access-edge",
  ACCESS_TEAM_DOMAIN: "https://team.cloudflareaccess.com",
  ACCESS_AUDIENCE: "aud",
  SIGNING_SECRET: "s".repeat(40),
  SANDBOX_DRIVER: "container",
  ALLOWED_HOSTS: "api.example.com,api.example.com:8443,other.example.com",
  SANDBOX_SECRETS: JSON.stringify({ "api.example.com": { authorization: "SECRET_EXAMPLE" } }),
  SECRET_EXAMPLE: SECRET,
};

/** What left the Worker. */
const left: { readonly request: Request; readonly init: RequestInit | undefined }[] = [];

beforeEach(() => {
  left.length = 0;
  vi.stubGlobal("fetch", async (request: Request, init?: RequestInit) => {
    left.push({ request, init });
    return Response.redirect("https://other.example.com/", 302);
  });
});
afterEach(() => {
  vi.unstubAllGlobals();
});

/** Sends it the way the platform hands over what leaves a container. */
async function send(request: Request): Promise<Response> {
  return await new ContainerProxy(createExecutionContext(), { ...env, ...SETTINGS }).fetch(request);
}

test("a container's request to the host carries the secret, in place of its own header", async () => {
  const headers = { Authorization: "Bearer mine", "X-Kept": "yes" };
  const response = await send(
    new Request("https://api.example.com/v1?q=1", { method: "POST", body: "hello", headers }),
  );
  expect(response.status).toBe(302);
  const [{ request, init } = { request: undefined, init: undefined }] = left;
  expect(request?.url).toBe("https://api.example.com/v1?q=1");
  expect(request?.method).toBe("POST");
  expect(await request?.text()).toBe("hello");
  expect(request?.headers.get("authorization")).toBe(SECRET);
  expect(request?.headers.get("x-kept")).toBe("yes");
  expect(init).toEqual({ redirect: "manual" });
});

test.each([
  "http://api.example.com/",
  "http://api.example.com:443/",
  "https://api.example.com:8443/",
  "https://other.example.com/?to=api.example.com",
])("a request to %s carries what the container sent, and no secret", async (url) => {
  expect((await send(new Request(url, { headers: { Authorization: "Bearer mine" } }))).status).toBe(302);
  expect(left.map(({ request }) => request.headers.get("authorization"))).toEqual(["Bearer mine"]);
});

test("a host that is not listed gets nothing, and the refusal shows no secret", async () => {
  const response = await send(new Request("https://api.example.com.evil.example/"));
  expect(response.status).toBe(403);
  expect(await response.text()).toBe(
    "The sandbox may not reach api.example.com.evil.example; ask the operator to list it in ALLOWED_HOSTS.\n",
  );
  expect(left).toEqual([]);
});
