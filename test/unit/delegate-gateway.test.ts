import { jsonSchema, tool } from "ai";
import { expect, test } from "vitest";
import { type ModelEndpoint, type Question, ask, modelEndpoint, readUsage } from "../../servers/delegate/gateway.ts";
import { parseSettings } from "../../servers/shared/settings.ts";
import { type ScriptedReply, startTestGateway } from "../support/test-gateway.ts";

const LABELS = { user: "u".repeat(32), client: "client-1", run: "run-0123456789abcdef" };

function settings(given: Record<string, string>): ReturnType<typeof parseSettings> {
  return parseSettings({
    PUBLIC_URL: "http://localhost:8717",
    IDENTITY: "local",
    LOCAL_SIGN_IN_CODE: "12345678",
    LOCAL_ADMIN_SECRET: "s".repeat(32),
    SIGNING_SECRET: "s".repeat(32),
    SANDBOX_DRIVER: "local",
    LOCAL_RUNTIME_URL: "http://127.0.0.1:1",
    LOCAL_RUNTIME_SECRET: "s".repeat(32),
    ...given,
  });
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
    reserve: (requestBytes) => ({ tokens: requestBytes + 500, answerTokens: 500 }),
    ...more,
  };
}

async function askOnce(reply: ScriptedReply, more: Partial<Question> = {}): Promise<Awaited<ReturnType<typeof ask>>> {
  await using gateway = await startTestGateway();
  gateway.script(reply);
  return await ask({ baseUrl: gateway.baseUrl, headers: {} }, question(more), fetch);
}

test("without any model setting there is no endpoint", () => {
  expect(modelEndpoint(settings({}), LABELS)).toBeUndefined();
});

test("AI Gateway is asked at its own address, with its token and labels, and the provider's key is passed through", () => {
  const gateway = { AI_GATEWAY_ACCOUNT_ID: "acc", AI_GATEWAY_ID: "gate way", AI_GATEWAY_TOKEN: "tok" };
  expect(modelEndpoint(settings({ ...gateway, MODEL_API_KEY: "key" }), LABELS)).toEqual({
    baseUrl: "https://gateway.ai.cloudflare.com/v1/acc/gate%20way/compat",
    headers: {
      authorization: "Bearer key",
      "cf-aig-authorization": "Bearer tok",
      "cf-aig-metadata": JSON.stringify(LABELS),
    },
  });
});

test("the gateway's token is never sent to MODEL_BASE_URL", () => {
  const both = {
    AI_GATEWAY_ACCOUNT_ID: "acc",
    AI_GATEWAY_ID: "gw",
    AI_GATEWAY_TOKEN: "tok",
    MODEL_BASE_URL: "http://localhost:11434/v1/",
  };
  expect(modelEndpoint(settings(both), LABELS)).toEqual({ baseUrl: "http://localhost:11434/v1", headers: {} });
});

test("a question carries model, messages, tools and what the answer may take, and a reply its text and usage", async () => {
  await using gateway = await startTestGateway({ key: "secret-key" });
  gateway.script({ kind: "text", text: "hello", usage: { prompt_tokens: 12, completion_tokens: 3, cost: 0.001 } });
  const endpoint: ModelEndpoint = { baseUrl: gateway.baseUrl, headers: { authorization: "Bearer secret-key" } };
  let reserved = 0;
  const reply = await ask(
    endpoint,
    question({ reserve: (bytes) => ((reserved = bytes), { tokens: bytes + 77, answerTokens: 77 }) }),
    fetch,
  );
  expect(reply).toEqual({
    kind: "reply",
    messages: [{ role: "assistant", content: [{ type: "text", text: "hello", providerOptions: undefined }] }],
    text: "hello",
    finishReason: "stop",
    usage: { inputTokens: 12, outputTokens: 3, costUsd: 0.001 },
  });
  const [asked] = gateway.requests;
  expect(asked?.path).toBe("/v1/account/gateway/compat/chat/completions");
  expect(asked?.body).toMatchObject({
    model: "test-model",
    max_tokens: 77,
    messages: [
      { role: "system", content: "Be brief." },
      { role: "user", content: "Say hello." },
    ],
    tools: [{ type: "function", function: { name: "greet", description: "Greets" } }],
  });
  expect(reserved).toBeGreaterThanOrEqual(asked?.bytes ?? Infinity);
});

test("nothing is sent where the reservation is refused", async () => {
  await using gateway = await startTestGateway();
  const refusal = new Error("No budget.");
  const reserve = (): never => {
    throw refusal;
  };
  await expect(ask({ baseUrl: gateway.baseUrl, headers: {} }, question({ reserve }), fetch)).rejects.toBe(refusal);
  expect(gateway.requests).toEqual([]);
});

test.each<[name: string, reply: ScriptedReply]>([
  ["a body that is not JSON", { kind: "raw", body: "<html>oops</html>" }],
  ["JSON of another shape", { kind: "raw", body: '{"choices":"none"}' }],
  ["no choices at all", { kind: "raw", body: '{"choices":[]}' }],
  ["an answer cut off in the middle", { kind: "truncated" }],
  ["an answer larger than a transcript can hold", { kind: "text", text: "x".repeat(1_100_000) }],
])("%s is an answer that cannot be read, and may have cost something", async (_, reply) => {
  expect(await askOnce(reply)).toMatchObject({
    kind: "failure",
    code: "unavailable",
    message: "The model endpoint's answer could not be read; try again, or name another model.",
    mayHaveCost: true,
    isRetryable: true,
  });
});

test.each([
  [401, { code: "unavailable", mayHaveCost: false, isRetryable: false }],
  [404, { code: "unavailable", mayHaveCost: false, isRetryable: false }],
  [429, { code: "limit_reached", mayHaveCost: false, isRetryable: true }],
  [500, { code: "unavailable", mayHaveCost: true, isRetryable: true }],
  [503, { code: "unavailable", mayHaveCost: true, isRetryable: true }],
  [302, { code: "unavailable", mayHaveCost: false, isRetryable: false }],
])("status %i is told by its number, without the endpoint's own words", async (status, expected) => {
  const body = { error: { message: "sk-very-secret" } };
  const reply = await askOnce({
    kind: "status",
    status,
    body,
    headers: status === 302 ? { location: "http://127.0.0.1:1/" } : {},
  });
  expect(reply).toMatchObject({ kind: "failure", status, ...expected });
  expect(JSON.stringify(reply)).not.toContain("sk-very-secret");
  expect(JSON.stringify(reply)).toContain(`status ${status}`);
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
  await ask({ baseUrl: gateway.baseUrl, headers: {} }, question({ limitField: "max_completion_tokens" }), fetch);
  expect(gateway.requests[0]?.body).toMatchObject({ max_completion_tokens: 500 });
  expect(gateway.requests[0]?.body).not.toHaveProperty("max_tokens");
});

test("an endpoint that cannot be reached is a failure that may be tried again", async () => {
  const gateway = await startTestGateway();
  await gateway[Symbol.asyncDispose]();
  const reply = await ask({ baseUrl: gateway.baseUrl, headers: {} }, question(), fetch);
  expect(reply).toMatchObject({
    kind: "failure",
    message: "The model endpoint cannot be reached; have MODEL_BASE_URL checked, or try again later.",
    isRetryable: true,
  });
});

test("a question that is given up ends at once, though the endpoint hangs", async () => {
  const startedAt = performance.now();
  await expect(askOnce({ kind: "hang" }, { signal: AbortSignal.timeout(100) })).rejects.toMatchObject({
    name: "TimeoutError",
  });
  expect(performance.now() - startedAt).toBeLessThan(2_000);
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

test.each([
  [
    { prompt_tokens: 5, completion_tokens: 2 },
    { inputTokens: 5, outputTokens: 2 },
  ],
  [
    { prompt_tokens: 5, completion_tokens: 2, total_tokens: 30 },
    { inputTokens: 5, outputTokens: 25 },
  ],
  [
    { prompt_tokens: 5, completion_tokens: 2, cost: 0.25 },
    { inputTokens: 5, outputTokens: 2, costUsd: 0.25 },
  ],
  [
    { prompt_tokens: 5, completion_tokens: 2, cost: -1 },
    { inputTokens: 5, outputTokens: 2 },
  ],
  [{ prompt_tokens: -5, completion_tokens: 2 }, undefined],
  [{ prompt_tokens: 5 }, undefined],
  [{}, undefined],
  [undefined, undefined],
])("the usage %j is read as %j", (raw, expected) => {
  expect(readUsage(raw)).toEqual(expected);
});
