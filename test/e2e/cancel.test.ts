import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ToolClient, connectOfficial, modeOf, textOf } from "../support/mcp-clients.ts";
import { sendModern } from "../support/modern-mcp.ts";
import { sharedSuite } from "../support/suite.ts";

/* A client of 2026-07-28 cancels a call by closing its connection. */

const suite = sharedSuite();
/** Long for whoever waits in vain, and shorter than any call. */
const timeout = 20_000;
let observer: ToolClient;

beforeAll(async () => {
  observer = await connectOfficial(new URL("/mcp", suite.url), await suite.token(), "modern");
});

afterAll(async () => await observer[Symbol.asyncDispose]());

async function run(command: string): Promise<unknown> {
  return (await observer.callTool("sandbox_exec", { command })).structuredContent?.["stdout"];
}

async function connect(): Promise<Client> {
  const client = new Client(
    { name: "pincer-test", version: "1.0.0" },
    { versionNegotiation: { mode: modeOf("modern") } },
  );
  const requestInit = { headers: { Authorization: `Bearer ${await suite.token()}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL("/mcp", suite.url), { requestInit }));
  return client;
}

const countRunning = async (name: string): Promise<unknown> => await run(`pgrep -c -f '^${name} ' || true`);

test.each([
  ["a client gives up", "given-up", {}],
  ["a client gives up that has asked for progress", "given-up-loudly", { onprogress: () => undefined }],
])("a command that %s ends with its call", async (_who, name, options) => {
  const client = await connect();
  const giveUp = new AbortController();
  const input = { command: `exec -a ${name} sleep 600`, wait_ms: 50_000 };
  const call = client.callTool({ name: "sandbox_exec", arguments: input }, { ...options, signal: giveUp.signal });
  const ended = expect(call).rejects.toThrow();
  await expect.poll(async () => await countRunning(name), { timeout }).toBe("1\n");
  giveUp.abort();
  await ended;
  await expect.poll(async () => await countRunning(name), { timeout }).toBe("0\n");
  await client.close();
});

// By itself a browser takes longer than that to give up a call.
test("a browser is free again once the client has gone that it works for", { timeout: 40_000 }, async () => {
  await observer.callTool("files_write", { path: "busy.html", content: "<h1>Busy</h1>" });
  const { structuredContent: shared } = await observer.callTool("files_share", { path: "busy.html" });
  const opened = await observer.callTool("browser_open", { url: shared?.["url"], browser: "busy" });
  expect(opened, textOf(opened)).toMatchObject({ isError: false });
  const giveUp = new AbortController();
  const client = { mcpUrl: new URL("/mcp", suite.url), token: await suite.token() };
  const call = { name: "browser_evaluate", arguments: { script: "new Promise(() => undefined)", browser: "busy" } };
  // An answer that takes long begins before its call has ended.
  const begun = await sendModern(client, "tools/call", call, { signal: giveUp.signal });
  expect(begun.headers.get("Content-Type")).toBe("text/event-stream");
  giveUp.abort();
  expect(await observer.callTool("browser_snapshot", { browser: "busy" })).toMatchObject({ isError: false });
});

test("a command that was handed over goes on when its client has gone", async () => {
  const client = await connect();
  const input = { command: "exec -a handed-over sleep 600", wait_ms: 0 };
  await client.callTool({ name: "sandbox_exec", arguments: input });
  await expect.poll(async () => await countRunning("handed-over"), { timeout }).toBe("1\n");
  await client.close();
  expect(await countRunning("handed-over")).toBe("1\n");
});
