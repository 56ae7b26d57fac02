import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import * as z from "zod";
import { CATALOG } from "../../servers/catalog.ts";
import { answerPlainCall } from "../../servers/core/plain-call.ts";
import { serveMcp } from "../../servers/core/http.ts";
import { createServer } from "../../servers/core/server.ts";
import { parseSettings } from "../../servers/shared/settings.ts";
import { createPipeline } from "../../servers/suite.ts";

const CALLER = { userId: "plain-1", role: "member", scopes: ["files:read"], clientId: "test" } as const;

const META = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientInfo": { name: "test", version: "1.0.0" },
  "io.modelcontextprotocol/clientCapabilities": {},
};

/** As desktop clients send it. */
const TALKATIVE = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientInfo": {
    name: "test",
    title: "Test",
    version: "1.0.0",
    description: "Tests",
    websiteUrl: "https://example.com",
  },
  "io.modelcontextprotocol/clientCapabilities": {
    roots: { listChanged: true },
    sampling: { tools: {}, context: {} },
    elicitation: { form: { applyDefaults: true }, url: {} },
    experimental: { "test/x": { on: true } },
    extensions: { "io.modelcontextprotocol/tasks": { list: {} } },
  },
};

interface Change {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: object;
  readonly params?: object;
}

function callOf({ headers = {}, body = {}, params = {} }: Change): { request: Request; body: unknown } {
  const name = "files_read";
  const call = {
    jsonrpc: "2.0",
    id: 1,
    method: "tools/call",
    params: { name, arguments: { path: "../outside" }, _meta: META, ...params },
    ...body,
  };
  const request = new Request("http://localhost/mcp", {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      "MCP-Protocol-Version": "2026-07-28",
      "Mcp-Method": "tools/call",
      "Mcp-Name": name,
      ...headers,
    },
    body: JSON.stringify(call),
  });
  return { request, body: call };
}

const pipelineOf = () => createPipeline(env, parseSettings(env), CALLER, { waitUntil: () => undefined });

async function answerPlain(change: Change): Promise<Response | undefined> {
  const { request, body } = callOf(change);
  return await answerPlainCall(request, body, CATALOG, pipelineOf());
}

async function seen(response: Response | undefined): Promise<unknown> {
  if (response === undefined) return undefined;
  const text = (await response.text()).replace(/"pincer\/duration_ms":\d+/, '"pincer/duration_ms":0');
  return {
    status: response.status,
    headers: z.record(z.string(), z.string()).parse(Object.fromEntries(response.headers)),
    text,
  };
}

test.each([
  ["that is refused", {}],
  ["with a string for an id", { body: { id: "a" } }],
  [
    "of a tool that answers with data",
    { params: { name: "files_list", arguments: {} }, headers: { "Mcp-Name": "files_list" } },
  ],
  [
    "without a word about the client",
    { params: { _meta: { ...META, "io.modelcontextprotocol/clientInfo": undefined } } },
  ],
  ["whose client tells all of itself", { params: { _meta: TALKATIVE } }],
  ["with arguments that the tool does not know", { params: { arguments: { nonsense: 1 } } }],
])("a plain call %s is answered byte for byte as the SDK answers it", async (_what, change) => {
  const { request, body } = callOf(change);
  const bySdk = await serveMcp(request, body, ({ era }) => createServer(CATALOG, pipelineOf(), era));
  expect(await seen(await answerPlain(change))).toEqual(await seen(bySdk));
});

/** A call as clients of the 2025 revisions send it. */
function oldCallOf({ headers = {}, body = {}, params = {} }: Change): { request: Request; body: unknown } {
  const call = {
    ...{ jsonrpc: "2.0", id: 1, method: "tools/call" },
    params: { name: "files_read", arguments: { path: "../outside" }, ...params },
    ...body,
  };
  const request = new Request("http://localhost/mcp", {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      Accept: "application/json, text/event-stream",
      "MCP-Protocol-Version": "2025-11-25",
      ...headers,
    },
    body: JSON.stringify(call),
  });
  return { request, body: call };
}

test.each([
  ["that is refused", {}],
  ["with a string for an id", { body: { id: "a" } }],
  ["of the older revision", { headers: { "MCP-Protocol-Version": "2025-06-18" } }],
  ["of a tool that answers with data", { params: { name: "files_list", arguments: {} } }],
  ["without arguments", { params: { arguments: undefined } }],
])(
  "a plain call of 2025 %s is answered with what the SDK sends as the one event of a stream",
  async (_what, change) => {
    const { request, body } = oldCallOf(change);
    const stream = await serveMcp(request, body, ({ era }) => createServer(CATALOG, pipelineOf(), era));
    const [, sent] = /^data: (.*)$/m.exec(await stream.text()) ?? [];
    const bySdk = new Response(sent, { headers: { "Content-Type": "application/json" } });
    const again = oldCallOf(change);
    expect(await seen(await answerPlainCall(again.request, again.body, CATALOG, pipelineOf()))).toEqual(
      await seen(bySdk),
    );
  },
);

test.each([
  ["no revision", { headers: { "MCP-Protocol-Version": "" } }],
  ["a revision that is none", { headers: { "MCP-Protocol-Version": "2024-01-01" } }],
  ["a session", { headers: { "Mcp-Session-Id": "x" } }],
  ["half of what it must accept", { headers: { Accept: "application/json" } }],
  ["a progress token", { params: { _meta: { progressToken: 1 } } }],
  ["a tool that does not exist", { params: { name: "no_tool" } }],
])("a call of 2025 with %s is left to the SDK", async (_what, change) => {
  const { request, body } = oldCallOf(change);
  expect(await answerPlainCall(request, body, CATALOG, pipelineOf())).toBeUndefined();
});

test.each([
  ["another revision's header", { headers: { "MCP-Protocol-Version": "2025-11-25" } }],
  ["another media type", { headers: { "Content-Type": "application/json; charset=utf-8" } }],
  ["another method in its header", { headers: { "Mcp-Method": "tools/list" } }],
  ["another tool in its header", { headers: { "Mcp-Name": "files_list" } }],
  ["a tool that does not exist", { params: { name: "no_tool" }, headers: { "Mcp-Name": "no_tool" } }],
  ["a tool whose client may get a task", { params: { name: "delegate_run" }, headers: { "Mcp-Name": "delegate_run" } }],
  ["a client of no name", { params: { _meta: { ...META, "io.modelcontextprotocol/clientInfo": { version: "1" } } } }],
  [
    "a capability that is no object",
    { params: { _meta: { ...META, "io.modelcontextprotocol/clientCapabilities": { roots: true } } } },
  ],
  ["a progress token", { params: { _meta: { ...META, progressToken: 1 } } }],
  [
    "another revision in its body",
    { params: { _meta: { ...META, "io.modelcontextprotocol/protocolVersion": "2027-01-01" } } },
  ],
  ["answers to what it was asked", { params: { inputResponses: {} } }],
  ["a state to go on from", { params: { requestState: "x" } }],
  ["no id", { body: { id: undefined } }],
  ["a fraction for an id", { body: { id: 1.5 } }],
  ["a field of its own", { body: { extra: 1 } }],
])("a call with %s is left to the SDK", async (_what, change) => {
  expect(await answerPlain(change)).toBeUndefined();
});
