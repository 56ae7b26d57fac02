import { createHash, randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { afterAll, beforeAll, expect, test } from "vitest";
import * as z from "zod";
import type { Page } from "../egress/devtools.ts";
import { serve } from "../egress/loopback.ts";
import { startChrome } from "../support/chrome.ts";
import { type OwnSuite, startSuite } from "../support/suite.ts";

// A suite of its own: wrong codes lock sign-in for everyone who shares it.
let suite: OwnSuite;
let signInCode: string;

beforeAll(async () => {
  suite = await startSuite();
  signInCode = /Sign-in code\W+(\S+)/i.exec(suite.output())?.[1] ?? "";
});

afterAll(async () => {
  await suite[Symbol.asyncDispose]();
});

const treeSchema = z.object({
  nodes: z.array(
    z.object({
      role: z.object({ value: z.string() }).optional(),
      name: z.object({ value: z.string() }).optional(),
    }),
  ),
});

const framesSchema = z.object({
  frameTree: z.object({ childFrames: z.array(z.object({ frame: z.object({ url: z.string() }) })) }),
});

/** Types the code, presses Allow, and waits until another page has come. */
async function allow(page: Page, code: string): Promise<string> {
  const mark = "document.documentElement.dataset.isOld";
  await page.evaluate(`${mark} = "yes"; document.querySelector("#code").value = ${JSON.stringify(code)}`);
  await page.evaluate(`document.querySelector("button.primary").click() ?? ""`);
  for (const deadline = Date.now() + 20_000; Date.now() < deadline; await pause(50)) {
    const text = await page
      .evaluate(`${mark} === undefined && document.readyState === "complete" ? document.body.innerText : ""`)
      .catch(() => "");
    if (typeof text === "string" && text !== "") return text;
  }
  throw new Error("No page came after Allow.");
}

/** A client that has registered and waits for its code at a loopback address, as desktop clients do. */
async function startClient(resource: string) {
  const codes: string[] = [];
  const server = await serve((request, response) => {
    const code = new URL(request.url ?? "/", "http://localhost").searchParams.get("code");
    if (code !== null) codes.push(code);
    response.end("You may close this window.");
  });
  const redirectUri = `http://localhost:${server.port}/callback`;
  const verifier = randomBytes(32).toString("hex");
  const registered = await fetch(`${suite.url}/oauth/register`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({
      client_name: "Sign-in test",
      redirect_uris: [redirectUri],
      token_endpoint_auth_method: "none",
    }),
  });
  const { client_id: clientId } = z.object({ client_id: z.string() }).parse(await registered.json());
  const query = new URLSearchParams({
    response_type: "code",
    client_id: clientId,
    redirect_uri: redirectUri,
    code_challenge: createHash("sha256").update(verifier).digest("base64url"),
    code_challenge_method: "S256",
    resource,
  });
  return {
    authorizeUrl: `${suite.url}/authorize?${query.toString()}`,
    exchange: async (): Promise<string> => {
      const response = await fetch(`${suite.url}/oauth/token`, {
        method: "POST",
        body: new URLSearchParams({
          grant_type: "authorization_code",
          client_id: clientId,
          redirect_uri: redirectUri,
          code: codes.at(-1) ?? "",
          code_verifier: verifier,
        }),
      });
      return z.object({ access_token: z.string() }).parse(await response.json()).access_token;
    },
    [Symbol.asyncDispose]: async () => await server[Symbol.asyncDispose](),
  };
}

test("a person signs a client in through the page, and the client works with what they allowed", async () => {
  const endpoint = `${suite.url}/mcp/files`;
  await using chrome = await startChrome();
  await using client = await startClient(endpoint);
  const shown = await chrome.page.open(client.authorizeUrl);
  expect(shown).toContain("Allow “Sign-in test” to use Pincer for you?");
  expect(await chrome.page.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);

  expect(await allow(chrome.page, "AAAA-AAAA")).toContain("That is not the sign-in code.");
  await expect.poll(async () => await chrome.page.evaluate("document.activeElement.id")).toBe("code");
  await chrome.page.evaluate(`document.querySelector("[value='files:write']").click() ?? ""`);
  expect(await allow(chrome.page, signInCode)).toContain("You may close this window.");

  const token = await client.exchange();
  const mcp = new Client({ name: "sign-in-test", version: "1.0.0" });
  const transport = new StreamableHTTPClientTransport(new URL(endpoint), {
    requestInit: { headers: { Authorization: `Bearer ${token}` } },
  });
  await mcp.connect(transport);
  expect((await mcp.listTools()).tools.map(({ name }) => name)).toContain("files_read");
  expect((await mcp.callTool({ name: "files_list", arguments: {} })).isError ?? false).toBe(false);
  await mcp.close();
  const write = { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "files_write", arguments: {} } };
  const refused = await fetch(endpoint, {
    method: "POST",
    headers: {
      Authorization: `Bearer ${token}`,
      "Content-Type": "application/json",
      Accept: "application/json, text/event-stream",
    },
    body: JSON.stringify(write),
  });
  expect(refused.status).toBe(403);
  expect(refused.headers.get("WWW-Authenticate")).toContain(
    'error="insufficient_scope", scope="files:read files:write"',
  );
});

test("the page works without JavaScript, and each of its fields has a name", async () => {
  await using chrome = await startChrome();
  await using client = await startClient(`${suite.url}/mcp/files`);
  const { page } = chrome;
  const named = async (role: string): Promise<string[]> => {
    const { nodes } = treeSchema.parse(await page.send("Accessibility.getFullAXTree", {}));
    return nodes.flatMap((node) => (node.role?.value === role ? [node.name?.value ?? ""] : []));
  };
  await page.send("Emulation.setScriptExecutionDisabled", { value: true });
  await page.send("Page.navigate", { url: client.authorizeUrl });
  await expect.poll(() => named("button")).toEqual(["Allow", "Deny"]);
  expect(await named("heading")).toEqual(["Allow “Sign-in test” to use Pincer for you?"]);
  expect(await named("textbox")).toEqual(["Sign-in code"]);
  expect(await named("checkbox")).toEqual([
    expect.stringContaining("Read your files"),
    expect.stringContaining("Create, change and delete your files"),
  ]);
  const press = `document.querySelector("#code").value = ${JSON.stringify(signInCode)}; document.querySelector(".primary").click()`;
  await page.send("Runtime.evaluate", { expression: press });
  await expect.poll(() => client.exchange().catch(() => undefined)).toBeTypeOf("string");
});

test("a stranger's page can neither frame the page nor send its form", async () => {
  await using chrome = await startChrome();
  await using client = await startClient(`${suite.url}/mcp`);
  const form = `<form method="post" action="${suite.url}/authorize"><input name="decision" value="allow"></form>`;
  const frame = `<iframe src="${client.authorizeUrl.replaceAll("&", "&amp;")}"></iframe>`;
  await using stranger = await serve((_request, response) => {
    response.setHeader("Content-Type", "text/html");
    response.end(form + frame);
  });
  // Of the same site, so that the frame would be the page's own kind.
  await chrome.page.open(`http://localhost:${stranger.port}/`);
  const { frameTree } = framesSchema.parse(await chrome.page.send("Page.getFrameTree", {}));
  expect(frameTree.childFrames.map(({ frame }) => frame.url)).toEqual(["chrome-error://chromewebdata/"]);
  await chrome.page.evaluate(`document.forms[0].submit() ?? ""`);
  await expect.poll(() => chrome.page.evaluate("document.body.innerText")).toContain("You are not signed in");
});

test("five wrong codes lock the page for the right one too", async () => {
  await using chrome = await startChrome();
  await using client = await startClient(`${suite.url}/mcp`);
  await chrome.page.open(client.authorizeUrl);
  for (let guess = 1; guess <= 5; guess += 1) {
    expect(await allow(chrome.page, `AAAA-AAA${guess}`)).toContain("That is not the sign-in code.");
  }
  expect(await allow(chrome.page, signInCode)).toContain("Too many wrong codes. Wait 15 minutes");
});
