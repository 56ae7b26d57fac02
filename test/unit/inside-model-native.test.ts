import Anthropic from "@anthropic-ai/sdk";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type InsideModelSuite, startInsideModel } from "../support/inside-model.ts";
import { startTestAnthropic } from "../support/test-anthropic.ts";

// Anthropic's own SDK is the judge of whether what passes through is still what Anthropic meant.

const GATEWAY = { AI_GATEWAY_ACCOUNT_ID: "account", AI_GATEWAY_ID: "gateway", AI_GATEWAY_TOKEN: "gateway-token" };
const PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

let endpoint: Awaited<ReturnType<typeof startTestAnthropic>>;
let suite: InsideModelSuite;
let anthropic: Anthropic;

beforeAll(async () => {
  endpoint = await startTestAnthropic();
  suite = await startInsideModel({
    ...GATEWAY,
    AI_GATEWAY_BASE_URL: endpoint.compatUrl,
    MODEL_API_KEY: "the-real-key",
    MODEL_DEFAULT: "anthropic/claude-opus-4.8",
  });
  anthropic = client(suite);
});

afterAll(async () => {
  await suite[Symbol.asyncDispose]();
  await endpoint[Symbol.asyncDispose]();
});

function client({ url }: InsideModelSuite, headers: Readonly<Record<string, string>> = {}): Anthropic {
  return new Anthropic({ baseURL: url, apiKey: "dummy-key", maxRetries: 0, defaultHeaders: headers });
}

const ASK = {
  model: "claude-sonnet-5",
  max_tokens: 1_000,
  messages: [{ role: "user", content: "Hi" }],
} satisfies Anthropic.MessageCreateParamsNonStreaming;
const TOOL = { name: "look", description: "Looks", input_schema: { type: "object" as const } };
const HELLO = { type: "text", text: "Hello, you there." };
const CACHED_USAGE = {
  ...{ input_tokens: 10, output_tokens: 20, cache_creation_input_tokens: 300, cache_read_input_tokens: 4_000 },
  cache_creation: { ephemeral_5m_input_tokens: 200, ephemeral_1h_input_tokens: 100 },
};

/** What the endpoint was asked last. */
function lastAsked(): (typeof endpoint.requests)[number] {
  const asked = endpoint.requests.at(-1);
  if (asked === undefined) throw new Error("Nothing was asked.");
  expect(JSON.stringify([asked.headers, asked.body])).not.toContain("dummy-key");
  return asked;
}

test("what marks a prompt for Anthropic's cache is where it was, and what came of it is told, as it comes and whole", async () => {
  endpoint.script({ content: [HELLO], usage: CACHED_USAGE }, { content: [HELLO], usage: CACHED_USAGE });
  const usual = { type: "ephemeral" } as const;
  const long = { type: "ephemeral", ttl: "1h" } as const;
  const ask: Anthropic.MessageCreateParamsNonStreaming = {
    ...ASK,
    system: [{ type: "text", text: "Be kind.", cache_control: long }],
    tools: [{ ...TOOL, cache_control: long }],
    messages: [
      {
        role: "user",
        content: [
          {
            type: "document",
            source: { type: "text", media_type: "text/plain", data: "A book." },
            cache_control: usual,
          },
          { type: "image", source: { type: "base64", media_type: "image/png", data: PICTURE }, cache_control: usual },
          { type: "text", text: "Hi" },
        ],
      },
    ],
  };
  const pieces: string[] = [];
  const streamed = await anthropic.messages
    .stream(ask)
    .on("text", (piece) => void pieces.push(piece))
    .finalMessage();
  const expected = {
    ...{ id: "msg_1", type: "message", role: "assistant", model: "claude-sonnet-5", content: [HELLO] },
    ...{ stop_reason: "end_turn", stop_sequence: null, usage: CACHED_USAGE },
  };
  expect(streamed).toMatchObject(expected);
  expect(pieces).toHaveLength(2);
  expect(await anthropic.messages.create(ask)).toEqual(expected);
  const { path, body, headers } = lastAsked();
  expect(path).toBe("/v1/account/gateway/anthropic/v1/messages");
  expect(body).toEqual({ ...ask, stream: true });
  expect(headers).toMatchObject({
    "x-api-key": "the-real-key",
    "cf-aig-authorization": "Bearer gateway-token",
    "anthropic-version": "2023-06-01",
  });
  expect(headers.authorization).toBeUndefined();
});

test("thoughts come with their signatures, and go back with them beside a call of a tool and its result", async () => {
  const content = [
    { type: "thinking", thinking: "Where is up?", signature: "c2lnbmVk" },
    { type: "redacted_thinking", data: "aGlkZGVu" },
    { type: "text", text: "Let me look." },
    { type: "tool_use", id: "toolu_1", name: "look", input: { at: "the sky" } },
  ];
  const reply = { content, stopReason: "tool_use" };
  endpoint.script(reply, reply, { content: [HELLO] });
  const ask = {
    ...ASK,
    max_tokens: 4_000,
    tools: [TOOL],
    thinking: { type: "enabled" as const, budget_tokens: 2_000 },
  };
  const streamed = await anthropic.messages.stream(ask).finalMessage();
  expect(streamed).toMatchObject({ content, stop_reason: "tool_use" });
  expect((await anthropic.messages.create(ask)).content).toEqual(content);
  const messages: Anthropic.MessageParam[] = [
    ...ask.messages,
    { role: "assistant", content: streamed.content },
    { role: "user", content: [{ type: "tool_result", tool_use_id: "toolu_1", content: "a bird", is_error: false }] },
  ];
  await anthropic.messages.create({ ...ask, messages });
  const { body } = lastAsked();
  expect(body["thinking"]).toEqual(ask.thinking);
  expect(body.messages).toMatchObject([
    { role: "user", content: "Hi" },
    { role: "assistant", content },
    { role: "user", content: [{ type: "tool_result", tool_use_id: "toolu_1", content: "a bird" }] },
  ]);
});

test("what Claude Code asks for passes, and of what it sends nothing that names a person, an account or another price", async () => {
  const effort = { effort: "medium" };
  const mark = { type: "ephemeral" };
  const kept = {
    messages: [
      { role: "user", content: [{ type: "text", text: "say hi" }] },
      {
        role: "system",
        content: [{ type: "text", text: "# Environment", cache_control: mark }],
        output_config: effort,
      },
    ],
    system: [{ type: "text", text: "You are an agent.", cache_control: mark }],
    tools: [{ ...TOOL, defer_loading: true, eager_input_streaming: true, strict: true }],
    thinking: { type: "adaptive", display: "omitted" },
    context_management: { edits: [{ type: "clear_thinking_20251015", keep: "all" }] },
    output_config: effort,
  };
  endpoint.script({ content: [HELLO] });
  const response = await fetch(`${suite.url}/v1/messages?beta=true`, {
    method: "POST",
    headers: {
      "x-api-key": "dummy-key",
      "anthropic-beta":
        "claude-code-20250219,effort-2025-11-24,fast-mode-2026-02-01,context-1m-2025-08-07,per-turn-control-2026-07-01",
      "anthropic-version": "2020-01-01",
      "anthropic-workspace-id": "wrkspc_1",
      "cf-aig-authorization": "Bearer stolen",
      "cf-aig-gateway-id": "other",
    },
    body: JSON.stringify({
      ...{ model: "claude-opus-5-5", max_tokens: 128_000, stream: true, ...kept },
      context_management: { edits: [...kept.context_management.edits, { type: "compact_20260112" }] },
      ...{ metadata: { user_id: "me" }, service_tier: "auto", speed: "fast", fallbacks: [{ model: "other" }] },
      ...{ billing_policy: { type: "billing_policy" }, fallback_credit_token: "t", diagnostics: {}, compaction: {} },
    }),
  });
  expect(await response.text()).toContain("event: message_stop\ndata: ");
  const { headers, body } = lastAsked();
  expect(body).toEqual({ ...kept, model: "claude-opus-5-5", max_tokens: 64_000, stream: true });
  expect(headers).toMatchObject({
    "anthropic-beta": "claude-code-20250219,effort-2025-11-24,per-turn-control-2026-07-01",
    "anthropic-version": "2023-06-01",
    "cf-aig-authorization": "Bearer gateway-token",
  });
  expect(headers).not.toHaveProperty("anthropic-workspace-id");
  expect(headers).not.toHaveProperty("cf-aig-gateway-id");
});

test.each([
  [
    "a search",
    { tools: [TOOL, { type: "web_search_20250305", name: "web_search" }] },
    /tools\.1: "web_search_20250305"/,
  ],
  ["a fetch", { tools: [{ type: "web_fetch_20260318", name: "web_fetch" }] }, /tools\.0: "web_fetch_20260318"/],
  ["a run of code", { tools: [{ type: "code_execution_20260521", name: "code_execution" }] }, /take it out/],
  ["another model's advice", { tools: [{ type: "advisor_20260301", name: "advisor", model: "x" }] }, /take it out/],
  ["a search for tools", { tools: [{ type: "tool_search_tool_bm25_20251119", name: "x" }] }, /take it out/],
  ["a server of tools", { mcp_servers: [{ type: "url", url: "https://mcp.example", name: "x" }] }, /mcp_servers: /],
  ["its tools", { tools: [{ type: "mcp_toolset", mcp_server_name: "x" }] }, /"mcp_toolset"/],
  ["a container", { container: "container_1" }, /container: nothing is kept/],
  ["a kept conversation", { thread: { type: "create" } }, /thread: nothing is kept/],
  ["a place for the model", { inference_geo: "us" }, /leave inference_geo out/],
  [
    "a picture by its URL",
    { messages: [{ role: "user", content: [{ type: "image", source: { type: "url", url: "https://x.example" } }] }] },
    /give the picture itself/,
  ],
  [
    "a picture that is a text",
    {
      messages: [
        {
          role: "user",
          content: [{ type: "image", source: { type: "base64", media_type: "text/plain", data: "Hi" } }],
        },
      ],
    },
    /give the picture itself/,
  ],
  [
    "a picture that is no base64",
    {
      messages: [
        {
          role: "user",
          content: [{ type: "image", source: { type: "base64", media_type: "image/png", data: "H i" } }],
        },
      ],
    },
    /give the picture itself/,
  ],
  [
    "a file by its id",
    { messages: [{ role: "user", content: [{ type: "document", source: { type: "file", file_id: "file_1" } }] }] },
    /give the document itself/,
  ],
])("%s that Anthropic would see to is refused, and costs nothing", async (what, more, message) => {
  const asked = endpoint.requests.length;
  const userId = `refused-${what}`;
  const response = await fetch(`${suite.url}/v1/messages`, {
    method: "POST",
    headers: { "x-test-user": userId },
    body: JSON.stringify({ ...ASK, ...more }),
  });
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({
    type: "error",
    error: { type: "invalid_request_error", message: expect.stringMatching(message) },
  });
  expect(endpoint.requests).toHaveLength(asked);
  const { left, leftAtBest } = await suite.books(1, userId);
  expect(left).toEqual(leftAtBest);
  expect(left.tokens).toBe(20_000_000);
});

test("tools of Anthropic's that the client runs pass as they are", async () => {
  endpoint.script({ content: [HELLO] });
  const tools: Anthropic.ToolUnion[] = [
    { type: "bash_20250124", name: "bash" },
    { type: "text_editor_20250728", name: "str_replace_based_edit_tool", max_characters: 9_000 },
    { type: "memory_20250818", name: "memory" },
  ];
  await anthropic.messages.create({ ...ASK, tools });
  expect(lastAsked().body["tools"]).toEqual(tools);
});

test("what Anthropic has run for another client, and what nobody knows yet, is passed over", async () => {
  endpoint.script({ content: [HELLO] });
  await fetch(`${suite.url}/v1/messages`, {
    method: "POST",
    body: JSON.stringify({
      ...ASK,
      messages: [
        { role: "user", content: "Hi" },
        { role: "assistant", content: [{ type: "server_tool_use", id: "s", name: "web_search", input: {} }] },
        { role: "assistant", content: [{ type: "compaction", content: "x" }, HELLO] },
        {
          role: "user",
          content: [{ type: "tool_result", tool_use_id: "t", content: [{ type: "search_result", title: "x" }, HELLO] }],
        },
      ],
    }),
  });
  expect(lastAsked().body.messages).toEqual([
    { role: "user", content: "Hi" },
    { role: "assistant", content: [HELLO] },
    { role: "user", content: [{ type: "tool_result", tool_use_id: "t", content: [HELLO] }] },
  ]);
});

test("tokens are counted by Anthropic, and estimated where that fails", async () => {
  const ask = { model: "claude-opus-4.8", messages: ASK.messages, tools: [TOOL], system: "Be kind." };
  endpoint.script({ tokens: 403 }, { status: 529 });
  const betas = { headers: { "anthropic-beta": "effort-2025-11-24,fast-mode-2026-02-01" } };
  expect(await anthropic.messages.countTokens(ask, betas)).toEqual({ input_tokens: 403 });
  const { path, body, headers } = lastAsked();
  expect(path).toBe("/v1/account/gateway/anthropic/v1/messages/count_tokens");
  expect(body).toEqual({ ...ask, model: "claude-opus-4-8" });
  expect(headers["x-api-key"]).toBe("the-real-key");
  expect(headers["anthropic-beta"]).toBe("effort-2025-11-24");
  const { input_tokens } = await anthropic.messages.countTokens(ask);
  expect(input_tokens).toBeGreaterThan(20);
  expect(input_tokens).toBeLessThan(200);
});

test("the REST API is asked with the gateway's token and by its own names, and counts nothing", async () => {
  await using rest = await startInsideModel({
    ...GATEWAY,
    AI_GATEWAY_API: "rest",
    AI_GATEWAY_BASE_URL: endpoint.restUrl,
  });
  endpoint.script({ content: [HELLO] });
  expect((await client(rest).messages.create(ASK)).content).toEqual([HELLO]);
  const { path, body, headers } = lastAsked();
  expect(path).toBe("/client/v4/accounts/account/ai/v1/messages");
  expect(body.model).toBe("anthropic/claude-sonnet-5");
  expect(headers).toMatchObject({ authorization: "Bearer gateway-token", "cf-aig-gateway-id": "gateway" });
  expect(headers).not.toHaveProperty("x-api-key");
  const asked = endpoint.requests.length;
  expect((await client(rest).messages.countTokens({ ...ASK })).input_tokens).toBeGreaterThan(20);
  expect(endpoint.requests).toHaveLength(asked);
});
