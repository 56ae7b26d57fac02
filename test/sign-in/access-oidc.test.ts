import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import * as z from "zod";
import {
  type AccessSuite,
  allow,
  authorize,
  authorizeUrl,
  exchange,
  openConsent,
  refresh,
  registerClient,
  signIn,
  startAccessSuite,
} from "../support/access-sign-in.ts";
import { CookieBrowser } from "../support/cookie-browser.ts";
import { connectOfficial } from "../support/mcp-clients.ts";

const GROUPS = { ADMIN_GROUPS: "ops", MEMBER_GROUPS: "staff, makers", READER_GROUPS: "guests" };
const READING = "files:read browser:read";
const WORKING = "sandbox:exec interpreter:run files:read files:write browser:read browser:act delegate:run";

let started: AccessSuite;

beforeAll(async () => {
  started = await startAccessSuite(GROUPS);
});

afterAll(async () => {
  await started[Symbol.asyncDispose]();
});

beforeEach(() => {
  const { access } = started;
  access.people.clear();
  access.people.set("ann", ["everybody", "staff"]);
  access.atBrowser = "ann";
  access.trouble = "none";
  for (const list of [access.granted, access.refused, access.refreshTokens]) list.length = 0;
});

/** Whether the suite takes a token that it has not seen before. */
async function isTaken(token: string): Promise<boolean> {
  const response = await fetch(`${started.suite.url}/mcp`, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: "{}",
  });
  await response.body?.cancel();
  return response.status !== 401;
}

test("a person whom Access lets in signs a client in, and it works for ten minutes at a time", async () => {
  const { suite, access } = started;
  const browser = new CookieBrowser();
  const client = await registerClient(suite);
  const away = await browser.send(authorizeUrl(suite, client));
  expect(away.headers.get("Location")).toContain(`${access.issuer}/authorization?`);
  const { text } = await openConsent(suite, browser, client);
  expect(text).toContain("<dd>ann@example.com</dd>");

  const { tokens } = await signIn(suite);
  expect(tokens).toMatchObject({ expires_in: 600, scope: WORKING });
  await using mcp = await connectOfficial(new URL("/mcp", suite.url), tokens.access_token, "modern");
  expect((await mcp.callTool("files_write", { path: "a.txt", content: "hello" })).isError).toBe(false);
  expect(access.granted).toEqual(["authorization_code", "authorization_code"]);
});

test("a client that comes again finds unticked what its person left out", async () => {
  const { suite } = started;
  const browser = new CookieBrowser();
  const client = await registerClient(suite);
  const { text } = await openConsent(suite, browser, client);
  await allow(suite, browser, text.replace(/(value="sandbox:exec"\s+)checked/, "$1"));
  const again = await openConsent(suite, browser, client);
  expect(again.text).toMatch(/value="files:write"\s+checked/);
  expect(again.text).not.toMatch(/value="sandbox:exec"\s+checked/);
  expect(again.text).toContain("You left this out last time.");
});

test("nothing that signs anybody in is ever logged", async () => {
  const { suite, access } = started;
  const { client, tokens, arrival } = await signIn(suite);
  const renewed = await refresh(suite, client, tokens);
  access.people.delete("ann");
  await refresh(suite, client, renewed.tokens ?? tokens);
  const secrets = [
    ...access.refreshTokens,
    tokens.access_token,
    tokens.refresh_token,
    arrival.url.searchParams.get("code") ?? "",
    access.settings["ACCESS_OIDC_CLIENT_SECRET"] ?? "",
  ];
  expect(access.refreshTokens.length).toBe(2);
  expect(suite.log()).toContain("upstream refresh failed");
  for (const secret of secrets) expect(suite.log()).not.toContain(secret);
});

test("groups give the role, and a role sees the tools that it may use", async () => {
  const { suite, access } = started;
  const toolsFor = async (groups: readonly string[]): Promise<{ scope: string; tools: string[] }> => {
    access.people.set("ann", groups);
    const { tokens } = await signIn(suite);
    await using mcp = await connectOfficial(new URL("/mcp", suite.url), tokens.access_token, "modern");
    return { scope: tokens.scope, tools: await mcp.listTools() };
  };
  const member = await toolsFor(["makers"]);
  expect(member.scope).toBe(WORKING);
  expect(member.tools).toEqual(expect.arrayContaining(["sandbox_exec", "files_write", "delegate_run"]));
  const reader = await toolsFor(["guests"]);
  expect(reader.scope).toBe(READING);
  expect(reader.tools).toContain("files_read");
  expect(reader.tools.filter((name) => /^(sandbox|interpreter|delegate)_|write|edit|click/.test(name))).toEqual([]);
});

test("a tool that a role may never use is not there to step up to", async () => {
  const { suite, access } = started;
  access.people.set("ann", ["guests"]);
  const { tokens } = await signIn(suite);
  const response = await fetch(`${suite.url}/mcp`, {
    method: "POST",
    headers: {
      Authorization: `Bearer ${tokens.access_token}`,
      "Content-Type": "application/json",
      Accept: "application/json, text/event-stream",
      "MCP-Protocol-Version": "2025-11-25",
    },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "sandbox_exec" } }),
  });
  expect(response.status).toBe(200);
  expect(await response.text()).toContain("Unknown tool: sandbox_exec");
});

test("a person in no named group is told so, and gets nothing", async () => {
  const { suite, access } = started;
  access.people.set("ann", ["everybody"]);
  const { status, text, url } = await authorize(suite, new CookieBrowser(), await registerClient(suite));
  expect(url.origin).toBe(suite.url);
  expect(status).toBe(403);
  expect(text).toContain("You are in no group that may use Pincer.");
});

test("a person whom Access turns away is told so, and the client is not", async () => {
  const { suite, access } = started;
  access.trouble = "denies";
  const { status, text, url } = await authorize(suite, new CookieBrowser(), await registerClient(suite));
  expect(url.searchParams.get("error")).toBe("access_denied");
  expect(url.origin).toBe(suite.url);
  expect(status).toBe(403);
  expect(text).toContain("Cloudflare Access did not let you in.");
  expect(text).not.toContain("access_denied");
});

test("a person disabled in Access loses grant and token at the next refresh", async () => {
  const { suite, access } = started;
  const { client, tokens } = await signIn(suite);
  access.people.delete("ann");
  expect(await refresh(suite, client, tokens)).toEqual({ status: 400, error: "invalid_grant" });
  expect(await isTaken(tokens.access_token)).toBe(false);
  // Let in again, they sign in again.
  access.people.set("ann", ["staff"]);
  expect((await refresh(suite, client, tokens)).status).toBe(400);
});

test("a person moved to another group has its role from the next refresh on", async () => {
  const { suite, access } = started;
  const { client, tokens } = await signIn(suite);
  access.people.set("ann", ["guests"]);
  const narrowed = await refresh(suite, client, tokens);
  expect(narrowed.tokens?.scope).toBe(READING);
  access.people.set("ann", ["staff"]);
  const widened = await refresh(suite, client, narrowed.tokens ?? tokens);
  expect(widened.tokens?.scope).toBe(WORKING);
  access.people.set("ann", []);
  expect((await refresh(suite, client, widened.tokens ?? tokens)).error).toBe("invalid_grant");
  expect(await isTaken(widened.tokens?.access_token ?? "")).toBe(false);
});

test("refreshes at once ask Access once, which would take the second for a theft", async () => {
  const { suite, access } = started;
  const { client, tokens } = await signIn(suite);
  const answers = await Promise.all([refresh(suite, client, tokens), refresh(suite, client, tokens)]);
  expect(answers.map(({ status }) => status)).toEqual([200, 200]);
  expect(access.granted).toEqual(["authorization_code", "refresh_token"]);
  expect(access.refused).toEqual([]);
});

test("while Access is down nobody's token is renewed, and no grant is lost", async () => {
  const { suite, access } = started;
  const { client, tokens } = await signIn(suite);
  access.trouble = "down";
  expect(await refresh(suite, client, tokens)).toEqual({ status: 503, error: "temporarily_unavailable" });
  access.trouble = "none";
  expect((await refresh(suite, client, tokens)).status).toBe(200);
});

test("a share link ends with its person", async () => {
  const { suite, access } = started;
  // Somebody who has signed in nowhere else: any sign-in vouches for its person.
  access.atBrowser = "sue";
  access.people.set("sue", ["staff"]);
  const { client, tokens } = await signIn(suite);
  await using mcp = await connectOfficial(new URL("/mcp", suite.url), tokens.access_token, "modern");
  await mcp.callTool("files_write", { path: "shared.txt", content: "hello" });
  const shared = await mcp.callTool("files_share", { path: "shared.txt" });
  const { url } = z.object({ url: z.string() }).parse(shared.structuredContent);
  expect((await fetch(url)).status).toBe(200);
  access.people.delete("sue");
  await refresh(suite, client, tokens);
  expect((await fetch(url)).status).toBe(404);
});

/** Where at Access the suite sends a browser that signs a new client in. */
async function leave(browser: CookieBrowser): Promise<URL> {
  const { suite } = started;
  const away = await browser.send(authorizeUrl(suite, await registerClient(suite)));
  return new URL(away.headers.get("Location") ?? "");
}

/** The address by which Access sends it back, not opened yet. */
async function reachCallback(browser: CookieBrowser): Promise<URL> {
  const upstream = await leave(browser);
  const callback = `${started.suite.url}/authorize/callback`;
  return (await browser.follow(await browser.send(upstream), upstream, callback)).url;
}

test("an answer of Access is good in the browser that asked for it alone, and once", async () => {
  const { access } = started;
  const attacker = new CookieBrowser();
  const upstream = await leave(attacker);
  // A victim is made to open what the attacker began.
  const victim = new CookieBrowser();
  const caught = await victim.follow(await victim.send(upstream), upstream, "http://localhost:4999/");
  expect(caught.url.pathname).toBe("/authorize/callback");
  expect(caught.status).toBe(400);
  expect(caught.text).toContain("not started in this browser");
  expect(access.granted).toEqual([]);

  const own = new CookieBrowser();
  const callback = await reachCallback(own);
  expect((await own.send(callback)).status).toBe(200);
  expect((await own.send(callback)).status).toBe(400);
  expect(access.granted).toEqual(["authorization_code"]);
});

test("a code that Access gave another browser is of no use in one's own", async () => {
  const { access } = started;
  const stolen = await reachCallback(new CookieBrowser());
  const attacker = new CookieBrowser();
  const own = await reachCallback(attacker);
  own.searchParams.set("code", stolen.searchParams.get("code") ?? "");
  const response = await attacker.send(own);
  expect(response.status).toBe(403);
  expect(access.granted).toEqual([]);
  expect(access.refused).toEqual(["invalid_grant"]);
});

test("a code of ours that is used twice ends the grant", async () => {
  const { suite } = started;
  const client = await registerClient(suite);
  const { url } = await authorize(suite, new CookieBrowser(), client);
  const code = url.searchParams.get("code") ?? "";
  const { tokens } = await exchange(suite, client, code);
  expect(tokens?.scope).toBe(WORKING);
  expect(await exchange(suite, client, code)).toEqual({ status: 400, error: "invalid_grant" });
  expect(await isTaken(tokens?.access_token ?? "")).toBe(false);
});
