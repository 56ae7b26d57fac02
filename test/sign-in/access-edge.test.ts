import { SignJWT, exportJWK, generateKeyPair, jwtVerify } from "jose";
import type { IncomingMessage, ServerResponse } from "node:http";
import { afterAll, beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { type LoopbackServer, serve } from "../egress/loopback.ts";
import { openConsent, signIn, registerClient } from "../support/access-sign-in.ts";
import { CookieBrowser } from "../support/cookie-browser.ts";
import { type DeployedSuite, startDeployedSuite } from "../support/deployed-suite.ts";
import { connectOfficial } from "../support/mcp-clients.ts";

/* The real Worker behind an Access application, whose team's certificates and identity endpoint are on loopback. */

const ASSERTION = "Cf-Access-Jwt-Assertion";
const AUDIENCE = "the-tag-of-the-pages";
const SERVICE_AUDIENCE = "the-tag-of-the-endpoints";
const SERVICE = "88bf3b6d.access";

let team: LoopbackServer;
let suite: DeployedSuite;
let keys: Awaited<ReturnType<typeof generateKeyPair>>;
let teamUrl: string;
/** What the identity endpoint does with a person's assertion. */
let identity: "answers" | "redirects" | "is silent" = "answers";

const GROUPS_OF = new Map<string, readonly unknown[]>([
  ["ann", [{ id: "0f6a", name: "staff" }, "everybody"]],
  ["gus", ["everybody", "guests"]],
  ["bob", ["everybody"]],
]);

beforeAll(async () => {
  keys = await generateKeyPair("RS256", { extractable: true });
  const certificates = JSON.stringify({
    keys: [{ ...(await exportJWK(keys.publicKey)), kid: "k1", alg: "RS256", use: "sig" }],
  });
  team = await serve((request, response) => {
    if (request.url === "/cdn-cgi/access/certs") {
      response.setHeader("Content-Type", "application/json").end(certificates);
    } else if (request.url === "/cdn-cgi/access/get-identity") void answerIdentity(request, response);
    else response.writeHead(404).end();
  });
  teamUrl = `http://127.0.0.1:${team.port}`;
  suite = await startDeployedSuite(async () => ({
    IDENTITY: "access-edge",
    ACCESS_TEAM_DOMAIN: teamUrl,
    ACCESS_AUDIENCE: AUDIENCE,
    ACCESS_SERVICE_AUDIENCE: SERVICE_AUDIENCE,
    MEMBER_GROUPS: "staff",
    READER_GROUPS: "guests",
    SERVICE_TOKENS: JSON.stringify({ [SERVICE]: { name: "CI", role: "member", scopes: ["files:read"] } }),
  }));
});

afterAll(async () => {
  await suite[Symbol.asyncDispose]();
  await team[Symbol.asyncDispose]();
});

async function answerIdentity({ headers }: IncomingMessage, response: ServerResponse): Promise<void> {
  if (identity === "is silent") return;
  if (identity === "redirects") {
    response.writeHead(302, { Location: `${teamUrl}/elsewhere` }).end();
    return;
  }
  const [, jwt = ""] = /^CF_Authorization=(\S+)$/.exec(headers.cookie ?? "") ?? [];
  const { payload } = await jwtVerify(jwt, keys.publicKey, { audience: AUDIENCE });
  const { sub = "", email } = payload;
  response
    .setHeader("Content-Type", "application/json")
    .end(JSON.stringify({ user_uuid: sub, email, groups: GROUPS_OF.get(sub), idp: { type: "oidc" } }));
}

async function assertion(claims: Readonly<Record<string, unknown>>, audience = AUDIENCE, key = keys): Promise<string> {
  const jwt = await new SignJWT({ type: "app", ...claims })
    .setProtectedHeader({ alg: "RS256", kid: "k1" })
    .setIssuer(teamUrl)
    .setAudience([audience])
    .setIssuedAt()
    .setExpirationTime("1h")
    .sign(key.privateKey);
  suite.watch.add(jwt);
  return jwt;
}

/** A browser whose requests Access lets through, with its word on who sends them. */
class VouchedBrowser extends CookieBrowser {
  readonly #headers: Readonly<Record<string, string>>;

  constructor(headers: Readonly<Record<string, string>>) {
    super();
    this.#headers = headers;
  }

  override async send(url: URL, init: RequestInit = {}): Promise<Response> {
    return await super.send(url, {
      ...init,
      headers: { ...this.#headers, ...Object.fromEntries(new Headers(init.headers)) },
    });
  }
}

test("whom Access lets through consents and works, and their share link ends with their grant", async () => {
  const jwt = await assertion({ sub: "ann", email: "ann@example.com" });
  const { client, tokens } = await signIn(suite, new VouchedBrowser({ [ASSERTION]: jwt }));
  await using mcp = await connectOfficial(new URL("/mcp", suite.url), tokens.access_token, "modern");
  expect((await mcp.callTool("files_write", { path: "a.txt", content: "hello" })).isError).toBe(false);
  const shared = await mcp.callTool("files_share", { path: "a.txt" });
  const { url } = z.object({ url: z.string() }).parse(shared.structuredContent);
  expect(await (await fetch(url)).text()).toBe("hello");
  const body = new URLSearchParams({ token: tokens.refresh_token, client_id: client.clientId });
  expect((await fetch(`${suite.url}/oauth/token`, { method: "POST", body })).status).toBe(200);
  expect((await fetch(url)).status).toBe(404);
});

test("without its word, with somebody else's, or with a bare e-mail address nobody is shown the consent page", async () => {
  const stranger = await generateKeyPair("RS256", { extractable: true });
  const person = { sub: "ann", email: "ann@example.com" };
  const browsers = [
    {},
    { "Cf-Access-Authenticated-User-Email": "ann@example.com" },
    { [ASSERTION]: await assertion(person, "another-application") },
    { [ASSERTION]: await assertion(person, AUDIENCE, stranger) },
    { [ASSERTION]: await assertion({ sub: "", common_name: SERVICE }) },
  ];
  for (const headers of browsers) {
    const { status, text } = await openConsent(suite, new VouchedBrowser(headers), await registerClient(suite));
    expect(status).toBe(403);
    expect(text).toContain("You are not signed in");
  }
});

test("a service token that the settings name calls a tool, and one that they do not is challenged", async () => {
  const call = async (tokenId: string): Promise<Response> =>
    await fetch(`${suite.url}/mcp`, {
      method: "POST",
      headers: {
        [ASSERTION]: await assertion({ sub: "", common_name: tokenId }, SERVICE_AUDIENCE),
        "Content-Type": "application/json",
        Accept: "application/json, text/event-stream",
        "MCP-Protocol-Version": "2025-11-25",
      },
      body: JSON.stringify({
        jsonrpc: "2.0",
        id: 1,
        method: "tools/call",
        params: { name: "files_list", arguments: {} },
      }),
    });
  const answered = await call(SERVICE);
  expect(answered.status).toBe(200);
  expect(await answered.text()).toContain('"structuredContent":{"folders":[],');
  expect((await call("other.access")).status).toBe(401);
});

test("a person has the role of their groups, and who is in none of those that the settings name is not let in", async () => {
  const gus = new VouchedBrowser({ [ASSERTION]: await assertion({ sub: "gus", email: "gus@example.com" }) });
  const { tokens } = await signIn(suite, gus);
  expect(tokens.scope.split(" ").toSorted()).toEqual(["browser:read", "files:read"]);
  const bob = new VouchedBrowser({ [ASSERTION]: await assertion({ sub: "bob", email: "bob@example.com" }) });
  const { status, text } = await openConsent(suite, bob, await registerClient(suite));
  expect(status).toBe(403);
  expect(text).toContain("You are in no group that may use Pincer");
});

test("where the identity endpoint leads elsewhere or says nothing, nobody gets in for now", async () => {
  const ann = new VouchedBrowser({ [ASSERTION]: await assertion({ sub: "ann", email: "ann@example.com" }) });
  for (const trouble of ["redirects", "is silent"] as const) {
    identity = trouble;
    const { status, text } = await openConsent(suite, ann, await registerClient(suite));
    expect([trouble, status]).toEqual([trouble, 503]);
    expect(text).toContain("Try again in a minute");
  }
  identity = "answers";
  expect((await openConsent(suite, ann, await registerClient(suite))).status).toBe(200);
  expect(team.seen.map(({ url }) => url)).not.toContain("/elsewhere");
});
