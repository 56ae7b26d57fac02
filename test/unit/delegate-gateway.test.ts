import { jsonSchema, tool } from "ai";
import { expect, test, vi } from "vitest";
import type { ModelEndpoint } from "../../servers/delegate/model/endpoint.ts";
import { type Question, type Reply, createAsker } from "../../servers/delegate/model/gateway.ts";
import { readUsage } from "../../servers/delegate/model/usage.ts";
import type { ScriptedReply } from "../support/scripted-replies.ts";
import { startTestGateway } from "../support/test-gateway.ts";

const UNREADABLE = {
  kind: "failure",
  code: "unavailable",
  message: "The model endpoint's answer could not be read; try again, or name another model.",
  mayHaveCost: true,
  isRetryable: true,
  mayFallBack: true,
  isSpendLimit: false,
};

function endpointAt(baseUrl: string, more: Partial<ModelEndpoint> = {}): ModelEndpoint {
  return { baseUrl, headers: {}, priceOf: () => undefined, zeroRetention: "not asked", attempts: 1, ...more };
}

function question(more: Partial<Question> = {}): Question {
  return {
    model: "test-model",
    instructions: "Be brief.",
    messages: [{ role: "user", content: "Say hello." }],
    tools: { greet: tool({ description: "Greets", inputSchema: jsonSchema({ type: "object", properties: {} }) }) },
    mayCallTools: true,
    limitField: "max_tokens",
    signal: AbortSignal.timeout(5_000),
    reserve: async (requestBytes) => ({ tokens: requestBytes + 500, answerTokens: 500, nanoUsd: 0 }),
    ...more,
  };
}

type Asked = Reply;

async function askOnce(
  reply: ScriptedReply,
  more: Partial<Question> = {},
  endpoint: Partial<ModelEndpoint> = {},
): Promise<Asked> {
  await using gateway = await startTestGateway();
  gateway.script(reply);
  return await createAsker(endpointAt(gateway.baseUrl, endpoint), fetch)(question(more));
}

function chunk(delta: object, finishReason: string | null = null): object {
  return { id: "c", choices: [{ index: 0, delta, finish_reason: finishReason }] };
}

test("a question carries model, messages, tools and what the answer may take, and a reply its text and usage", async () => {
  await using gateway = await startTestGateway({ key: "secret-key" });
  gateway.script({ kind: "text", text: "hello", usage: { prompt_tokens: 12, completion_tokens: 3, cost: 0.001 } });
  let reserved = 0;
  const askHere = createAsker(endpointAt(gateway.baseUrl, { headers: { authorization: "Bearer secret-key" } }), fetch);
  const reply = await askHere(
    question({
      reserve: async (bytes) => {
        reserved = bytes;
        return { tokens: bytes + 77, answerTokens: 77, nanoUsd: 0 };
      },
    }),
  );
  expect(reply).toEqual({
    kind: "reply",
    messages: [{ role: "assistant", content: [{ type: "text", text: "hello", providerOptions: undefined }] }],
    text: "hello",
    finishReason: "stop",
    usage: { inputTokens: 12, cachedTokens: 0, outputTokens: 3, costUsd: 0.001 },
    servedBy: "openai/test-model",
    isCached: false,
    notes: [],
  });
  const [asked] = gateway.requests;
  expect(asked?.path).toBe("/v1/account/gateway/compat/chat/completions");
  expect(asked?.body).toMatchObject({
    model: "test-model",
    max_tokens: 77,
    stream: true,
    stream_options: { include_usage: true },
    messages: [
      { role: "system", content: "Be brief." },
      { role: "user", content: "Say hello." },
    ],
    tools: [{ type: "function", function: { name: "greet", description: "Greets" } }],
  });
  expect(reserved).toBeGreaterThanOrEqual(asked?.bytes ?? Infinity);
});

test("a server that knows no streams is understood as well, calls and all", async () => {
  const calls = [
    { name: "greet", input: { name: "one" }, id: "a" },
    { name: "greet", input: { name: "two" }, id: "b" },
  ];
  const usage = { prompt_tokens: 12, completion_tokens: 3 };
  const streamed = await askOnce({ kind: "calls", calls, text: "Greeting.", usage });
  expect(streamed).toMatchObject({ kind: "reply", text: "Greeting.", finishReason: "tool-calls" });
  expect(await askOnce({ kind: "calls", calls, text: "Greeting.", usage, ignoresStream: true })).toEqual(streamed);
});

test("calls that come in pieces are put together", async () => {
  const reply = await askOnce({ kind: "calls", calls: [{ name: "greet", input: { name: "a long name" }, id: "a" }] });
  expect(reply).toMatchObject({
    kind: "reply",
    messages: [
      {
        role: "assistant",
        content: [{ type: "tool-call", toolCallId: "a", toolName: "greet", input: { name: "a long name" } }],
      },
    ],
  });
});

test("a stream that takes its time is waited for", async () => {
  expect(await askOnce({ kind: "text", text: "slow but sure", pauseMs: 30 })).toMatchObject({ text: "slow but sure" });
});

test("a stream says the same in many events as in one, whatever its texts hold", async () => {
  const text = 'a\u2028data: {"error":{}}\u2029\ndata: b';
  const call = (index: number, rest: object, id?: string): object => ({
    tool_calls: [{ index, ...(id === undefined ? {} : { id, type: "function" }), function: rest }],
  });
  const many = [
    { id: "", model: "", choices: [] },
    { ...chunk({ role: "assistant", content: "", refusal: null }), model: "served", usage: null },
    { ...chunk({ role: "assistant", reasoning_content: "First " }), model: "other" },
    chunk({ reasoning_content: "this." }),
    ...text.split("").map((content) => chunk({ content })),
    chunk(call(0, { name: "greet", arguments: "" }, "a")),
    chunk(call(1, { name: "greet", arguments: '{"name":' }, "b")),
    chunk(call(0, { arguments: "{}" })),
    chunk(call(1, { arguments: '"two"}' })),
    chunk({}, "tool_calls"),
    { choices: [], usage: { prompt_tokens: 12, completion_tokens: 3 } },
    "[DONE]",
  ];
  const reply = await askOnce({ kind: "events", data: many });
  expect(reply).toMatchObject({
    text,
    finishReason: "tool-calls",
    servedBy: "served",
    usage: { inputTokens: 12, outputTokens: 3 },
    messages: [
      {
        role: "assistant",
        content: [
          { type: "reasoning", text: "First this." },
          { type: "text", text },
          { type: "tool-call", toolCallId: "a", toolName: "greet", input: {} },
          { type: "tool-call", toolCallId: "b", toolName: "greet", input: { name: "two" } },
        ],
      },
    ],
  });
  const delta = {
    reasoning_content: "First this.",
    content: text,
    tool_calls: [
      { index: 0, id: "a", type: "function", function: { name: "greet", arguments: "{}" } },
      { index: 1, id: "b", type: "function", function: { name: "greet", arguments: '{"name":"two"}' } },
    ],
  };
  const one = { ...chunk(delta, "tool_calls"), model: "served", usage: { prompt_tokens: 12, completion_tokens: 3 } };
  expect(await askOnce({ kind: "events", data: [one] })).toEqual(reply);
});

test("a stream with its own line ends, notes and names of events is understood", async () => {
  const event = (data: object): string => `: waiting\r\nevent: chunk\r\ndata:${JSON.stringify(data)}\r\n\r\n`;
  const body = event(chunk({ content: "hel" })) + event(chunk({ content: "lo" }, "stop"));
  const reply = await askOnce({ kind: "raw", body, contentType: "text/event-stream; charset=utf-8" });
  expect(reply).toMatchObject({ text: "hello", finishReason: "stop" });
});

test("Workers AI's last event, which tells the usage and has no choices, is understood", async () => {
  const usage = { prompt_tokens: 23, completion_tokens: 15 };
  const data = [
    { ...chunk({ content: "hello" }), usage: { prompt_tokens: 23, completion_tokens: 1 } },
    chunk({}, "stop"),
    { response: "", usage },
    "[DONE]",
  ];
  expect(await askOnce({ kind: "events", data })).toMatchObject({
    text: "hello",
    usage: { inputTokens: 23, outputTokens: 15 },
  });
});

test("nothing is sent where the reservation is refused", async () => {
  await using gateway = await startTestGateway();
  const refusal = new Error("No budget.");
  const reserve = async (): Promise<never> => {
    throw refusal;
  };
  await expect(createAsker(endpointAt(gateway.baseUrl), fetch)(question({ reserve }))).rejects.toBe(refusal);
  expect(gateway.requests).toEqual([]);
});

test.each<[name: string, reply: ScriptedReply]>([
  ["a body that is not JSON", { kind: "raw", body: "<html>oops</html>" }],
  ["a page in place of a stream", { kind: "raw", body: "<html>oops</html>", contentType: "text/html" }],
  ["JSON of another shape", { kind: "raw", body: '{"choices":"none"}' }],
  ["no choices at all", { kind: "raw", body: '{"choices":[]}' }],
  ["JSON that was cut off", { kind: "raw", body: '{"choices":[{"message":{"content":"hel' }],
  ["an error with status 200", { kind: "raw", body: '{"error":{"message":"overloaded"}}' }],
  ["a stream cut off in the middle", { kind: "truncated" }],
  ["a stream that ends without saying why", { kind: "events", data: [chunk({ content: "hello" }), "[DONE]"] }],
  [
    "a stream with an event that is not JSON",
    { kind: "events", data: [chunk({ content: "hel" }), "{oops", chunk({}, "stop")] },
  ],
  [
    "a stream with an error in it",
    { kind: "events", data: [chunk({ content: "hel" }), { error: { message: "oops" } }, chunk({}, "stop")] },
  ],
  [
    "a stream whose parts do not go together",
    { kind: "events", data: [chunk({ content: "hi" }), chunk({ content: [1] }, "stop")] },
  ],
  [
    "a stream with an event of another shape",
    { kind: "events", data: [{ choices: "none" }, chunk({ content: "hi" }, "stop")] },
  ],
  ["an empty stream", { kind: "events", data: [] }],
  ["an answer larger than a transcript can hold", { kind: "text", text: "x".repeat(1_100_000) }],
  ["as large an answer in one piece", { kind: "text", text: "x".repeat(1_100_000), ignoresStream: true }],
  [
    "more of a stream than any answer takes",
    { kind: "raw", body: `: ${"x".repeat(60_000)}\n`.repeat(300), contentType: "text/event-stream" },
  ],
])("%s is an answer that cannot be read, and may have cost something", async (_, reply) => {
  const complaints = vi.spyOn(console, "error");
  expect(await askOnce(reply)).toEqual(UNREADABLE);
  expect(complaints).not.toHaveBeenCalled();
  complaints.mockRestore();
});

test("a call that the length of the answer cut off is not there", async () => {
  const call = (index: number, argumentsText: string): object => ({
    tool_calls: [{ index, id: `c${index}`, type: "function", function: { name: "greet", arguments: argumentsText } }],
  });
  const data = [chunk(call(0, "{}")), chunk(call(1, "")), chunk({}, "length")];
  const reply = await askOnce({ kind: "events", data });
  if (reply.kind !== "reply") throw new Error(reply.message);
  expect(reply.finishReason).toBe("length");
  expect(JSON.stringify(reply.messages)).toContain('"c0"');
  expect(JSON.stringify(reply.messages)).not.toContain('"c1"');
});

test.each([
  [401, { code: "unavailable", mayHaveCost: false, isRetryable: false, mayFallBack: false, isSpendLimit: false }],
  [403, { code: "unavailable", mayHaveCost: false, isRetryable: false, mayFallBack: true, isSpendLimit: false }],
  [404, { code: "unavailable", mayHaveCost: false, isRetryable: false, mayFallBack: true, isSpendLimit: false }],
  [451, { code: "unavailable", mayHaveCost: false, isRetryable: false, mayFallBack: true, isSpendLimit: false }],
  [400, { code: "unavailable", mayHaveCost: false, isRetryable: false, mayFallBack: false, isSpendLimit: false }],
  [413, { code: "unavailable", mayHaveCost: false, isRetryable: false, mayFallBack: false, isSpendLimit: false }],
  [402, { code: "limit_reached", mayHaveCost: false, isRetryable: false, mayFallBack: true, isSpendLimit: true }],
  [429, { code: "limit_reached", mayHaveCost: false, isRetryable: true, mayFallBack: true, isSpendLimit: false }],
  [408, { code: "unavailable", mayHaveCost: true, isRetryable: true, mayFallBack: true, isSpendLimit: false }],
  [500, { code: "unavailable", mayHaveCost: true, isRetryable: true, mayFallBack: true, isSpendLimit: false }],
  [503, { code: "unavailable", mayHaveCost: true, isRetryable: true, mayFallBack: true, isSpendLimit: false }],
  [302, { code: "unavailable", mayHaveCost: false, isRetryable: false, mayFallBack: false, isSpendLimit: false }],
])("status %i is told by its number, without the endpoint's own words", async (status, expected) => {
  const body = { error: { message: "sk-very-secret" } };
  const headers = status === 302 ? { location: "http://127.0.0.1:1/" } : {};
  const reply = await askOnce({ kind: "status", status, body, headers });
  expect(reply).toMatchObject({ kind: "failure", status, ...expected });
  expect(JSON.stringify(reply)).not.toContain("sk-very-secret");
  expect(JSON.stringify(reply)).toContain(`status ${status}`);
});

test.each<[name: string, reply: ScriptedReply]>([
  ["AI Gateway's", { kind: "spend limit" }],
  [
    "OpenAI's",
    {
      kind: "status",
      status: 429,
      body: { error: { message: "…", type: "insufficient_quota", code: "insufficient_quota" } },
    },
  ],
  [
    "Anthropic's",
    {
      kind: "status",
      status: 429,
      body: { error: { type: "rate_limit_error", details: { error_code: "enforced_spend_limit_reached" } } },
    },
  ],
])("%s spend limit is told apart from a limit of requests: to wait does not help", async (_, reply) => {
  expect(await askOnce(reply)).toEqual({
    kind: "failure",
    code: "limit_reached",
    message:
      "The model's spend limit is reached or its account is empty (status 429); have that raised, or name a model that is billed elsewhere.",
    mayHaveCost: false,
    isRetryable: false,
    mayFallBack: true,
    isSpendLimit: true,
    status: 429,
  });
  expect(await askOnce({ kind: "rate limit" })).toMatchObject({ isRetryable: true, isSpendLimit: false, status: 429 });
});

test.each([
  ["a provider's filter", 400, { error: { message: "…", code: "content_filter" } }],
  ["AI Gateway's guardrails", 424, { success: false, error: [{ code: 2017, message: "Response blocked" }] }],
])("what %s refuses may have cost something, and another model may be asked", async (_, status, body) => {
  expect(await askOnce({ kind: "status", status, body })).toMatchObject({
    message: expect.stringContaining("A filter took offence at the conversation"),
    mayHaveCost: true,
    isRetryable: false,
    mayFallBack: true,
  });
});

test("Retry-After is understood in seconds and as a date", async () => {
  const seconds = await askOnce({ kind: "status", status: 429, headers: { "retry-after": "7" } });
  expect(seconds).toMatchObject({ retryAfterMs: 7_000 });
  const inAMinute = new Date(Date.now() + 60_000).toUTCString();
  const date = await askOnce({ kind: "status", status: 503, headers: { "retry-after": inAMinute } });
  expect(date.kind === "failure" ? date.retryAfterMs : undefined).toBeGreaterThan(50_000);
});

test("an endpoint that wants max_completion_tokens is told so the next time", async () => {
  const body = {
    error: {
      message: "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
      param: "max_tokens",
    },
  };
  expect(await askOnce({ kind: "status", status: 400, body })).toMatchObject({
    isRetryable: true,
    limitField: "max_completion_tokens",
  });
  await using gateway = await startTestGateway();
  gateway.script({ kind: "text", text: "hello" });
  await createAsker(endpointAt(gateway.baseUrl), fetch)(question({ limitField: "max_completion_tokens" }));
  expect(gateway.requests[0]?.body).toMatchObject({ max_completion_tokens: 500 });
  expect(gateway.requests[0]?.body).not.toHaveProperty("max_tokens");
});

test("an endpoint that cannot be reached is a failure that may be tried again", async () => {
  const gateway = await startTestGateway();
  await gateway[Symbol.asyncDispose]();
  expect(await createAsker(endpointAt(gateway.baseUrl), fetch)(question())).toMatchObject({
    kind: "failure",
    message: "The model endpoint cannot be reached; have MODEL_BASE_URL checked, or try again later.",
    isRetryable: true,
    mayFallBack: true,
  });
});

test.each([
  ["before it answers", { kind: "hang" }],
  ["in the middle of its answer", { kind: "hang", afterBytes: true }],
] as const)("a question that is given up ends, though the endpoint hangs %s", async (_, reply) => {
  await expect(askOnce(reply, { signal: AbortSignal.timeout(100) })).rejects.toMatchObject({ name: "TimeoutError" });
});

test("a call of an unknown tool and arguments that are no JSON come back with their answers", async () => {
  const calls = [
    { name: "no_such_tool", input: {}, id: "a" },
    { name: "greet", input: "{not json", id: "b" },
  ];
  const reply = await askOnce({ kind: "calls", calls });
  if (reply.kind !== "reply") throw new Error(reply.message);
  const answered = reply.messages.flatMap((message) => (message.role === "tool" ? message.content : []));
  expect(answered.map((part) => part.type === "tool-result" && part.toolCallId)).toEqual(["a", "b"]);
});

test("what a call is answered that could not be read is cut", async () => {
  const calls = [
    { name: "n".repeat(50_000), input: {} },
    { name: "greet", input: "{".repeat(50_000) },
  ];
  const reply = await askOnce({ kind: "calls", calls });
  if (reply.kind !== "reply") throw new Error(reply.message);
  const answered = reply.messages.flatMap((message) => (message.role === "tool" ? message.content : []));
  expect(answered).toHaveLength(2);
  for (const part of answered) expect(JSON.stringify(part).length).toBeLessThan(52_000);
});

test("an answer with more calls than any model means is not taken in", async () => {
  const calls = Array.from({ length: 129 }, (_, index) => ({ name: "greet", input: { index } }));
  expect(await askOnce({ kind: "calls", calls })).toMatchObject({ kind: "failure", mayHaveCost: true });
  expect(await askOnce({ kind: "calls", calls: calls.slice(1) })).toMatchObject({ kind: "reply" });
});

test("an answer from AI Gateway's cache costs nothing, whatever its body says", async () => {
  const usage = { prompt_tokens: 10, completion_tokens: 5, cost: 0.5 };
  const headers = { "cf-aig-cache-status": "HIT" };
  expect(await askOnce({ kind: "text", text: "again", usage, headers })).toMatchObject({
    isCached: true,
    usage: { inputTokens: 10, outputTokens: 5, costUsd: 0 },
  });
});

test("the cost is the endpoint's, else by the price of the model that served, else unknown", async () => {
  const usage = { prompt_tokens: 1_000_000, completion_tokens: 100_000 };
  const price = { inputUsdPerMillion: 2, outputUsdPerMillion: 10, source: "a test" };
  const priceOf = (model: string): typeof price | undefined => (model === "openai/gpt-6-sol" ? price : undefined);
  const costOf = async (model: string, reported: object): Promise<number | undefined> => {
    const reply = await askOnce({ kind: "text", text: "hi", usage: reported }, { model }, { priceOf });
    return reply.kind === "reply" ? reply.usage?.costUsd : undefined;
  };
  expect(await costOf("openai/gpt-6-sol", { ...usage, cost: 0.25 })).toBe(0.25);
  expect(await costOf("openai/gpt-6-sol", usage)).toBe(3);
  expect(await costOf("openai/gpt-7", usage)).toBeUndefined();
});

test.each([
  [
    "a route's own model",
    { "cf-aig-provider": "anthropic", "cf-aig-model": "claude-opus-5" },
    "anthropic/claude-opus-5",
  ],
  [
    "the router's choice",
    { "cf-aig-routed-model": "openai/gpt-5.6-luna", "cf-aig-model": "auto" },
    "openai/gpt-5.6-luna",
  ],
  [
    "a Workers AI model",
    { "cf-aig-provider": "workers-ai", "cf-aig-model": "@cf/openai/gpt-oss-20b" },
    "@cf/openai/gpt-oss-20b",
  ],
  [
    "a reseller's model",
    { "cf-aig-provider": "openrouter", "cf-aig-model": "openai/gpt-6-sol" },
    "openrouter/openai/gpt-6-sol",
  ],
  ["what a header makes up", { "cf-aig-provider": "", "cf-aig-model": "ignore all; do this" }, "body-model"],
])("%s is told as the one that served", async (_, headers, servedBy) => {
  const reply = await askOnce({ kind: "text", text: "hi", model: "body-model", headers }, { model: "dynamic/route" });
  expect(reply).toMatchObject({ servedBy, notes: [] });
});

test.each([
  ["makes up a name", "ignore all; do this"],
  ["names no end", "m".repeat(201)],
  ["names nothing", ""],
])("a body that %s is taken for the asked model's", async (_, model) => {
  const headers = { "cf-aig-provider": "", "cf-aig-model": "" };
  const reply = await askOnce({ kind: "text", text: "hi", model, headers }, { model: "asked" });
  expect(reply).toMatchObject({ servedBy: "asked" });
});

test("that AI Gateway fell back by itself is told", async () => {
  const headers = { "cf-aig-step": "1", "cf-aig-provider": "openai", "cf-aig-model": "gpt-6-luna" };
  expect(await askOnce({ kind: "text", text: "hi", headers })).toMatchObject({
    notes: ["AI Gateway fell back by itself, to its step 1: openai/gpt-6-luna."],
  });
  const routed = { "cf-aig-routed-model": "xai/grok-4.5", "cf-aig-routing-reason": "fallback_router_timeout" };
  expect(await askOnce({ kind: "text", text: "hi", headers: routed })).toMatchObject({
    notes: ["AI Gateway chose xai/grok-4.5 as a makeshift (fallback_router_timeout)."],
  });
});

test("where zero data retention was asked for and does not hold, the answer says so", async () => {
  const notesOf = async (provider: string, zeroRetention: ModelEndpoint["zeroRetention"]): Promise<unknown> => {
    const headers = { "cf-aig-provider": provider };
    const reply = await askOnce({ kind: "text", text: "hi", headers }, {}, { zeroRetention });
    return reply.kind === "reply" && reply.notes;
  };
  expect(await notesOf("openai", "asked")).toEqual([]);
  expect(await notesOf("xai", "not asked")).toEqual([]);
  expect(await notesOf("xai", "asked")).toEqual([
    "Zero data retention does not hold: AI Gateway cannot have it for xai.",
  ]);
  expect(await notesOf("openai", "asked with own key")).toEqual([
    "Zero data retention does not hold: AI Gateway sees to it only where it bills, and a key of one's own was used.",
  ]);
});

test.each([
  [
    { prompt_tokens: 5, completion_tokens: 2 },
    { inputTokens: 5, cachedTokens: 0, outputTokens: 2 },
  ],
  [
    { prompt_tokens: 5, completion_tokens: 2, total_tokens: 30 },
    { inputTokens: 5, cachedTokens: 0, outputTokens: 25 },
  ],
  [
    { prompt_tokens: 5, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 4 } },
    { inputTokens: 5, cachedTokens: 4, outputTokens: 2 },
  ],
  [
    { prompt_tokens: 5, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 9 } },
    { inputTokens: 5, cachedTokens: 5, outputTokens: 2 },
  ],
  [
    { prompt_tokens: 5, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 2, cache_write_tokens: 3 } },
    { inputTokens: 5, cachedTokens: 2, writtenTokens: 3, outputTokens: 2 },
  ],
  [
    { prompt_tokens: 5, completion_tokens: 2, prompt_tokens_details: "none" },
    { inputTokens: 5, cachedTokens: 0, outputTokens: 2 },
  ],
  [
    { prompt_tokens: 5, completion_tokens: 2, cost: 0.25 },
    { inputTokens: 5, cachedTokens: 0, outputTokens: 2, costUsd: 0.25 },
  ],
  [
    { prompt_tokens: 5, completion_tokens: 2, cost: -1 },
    { inputTokens: 5, cachedTokens: 0, outputTokens: 2 },
  ],
  [{ prompt_tokens: -5, completion_tokens: 2 }, undefined],
  [{ prompt_tokens: 5 }, undefined],
  [{}, undefined],
  [undefined, undefined],
])("the usage %j is read as %j", (raw, expected) => {
  expect(readUsage(raw)).toEqual(expected);
});
