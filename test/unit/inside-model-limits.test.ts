import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type InsideModelSuite, startInsideModel } from "../support/inside-model.ts";
import { type TestGateway, startTestGateway } from "../support/test-gateway.ts";

/** $1 and $10 a million tokens: 1,000 and 10,000 billionths a token. */
const PRICES = JSON.stringify({ model: { input: 1, cached_input: 0.1, output: 10 } });
const USAGE = { prompt_tokens: 1_000, completion_tokens: 100, prompt_tokens_details: { cached_tokens: 500 } };
const COST_NANO_USD = 500 * 1_000 + 500 * 100 + 100 * 10_000;

let gateway: TestGateway;
let suite: InsideModelSuite;

beforeAll(async () => {
  gateway = await startTestGateway();
  suite = await startInsideModel(settings());
});

afterAll(async () => {
  await suite[Symbol.asyncDispose]();
  await gateway[Symbol.asyncDispose]();
});

function settings(more: Readonly<Record<string, string>> = {}): Record<string, string> {
  return {
    AI_GATEWAY_ACCOUNT_ID: "account",
    AI_GATEWAY_ID: "gateway",
    AI_GATEWAY_TOKEN: "gateway-token",
    AI_GATEWAY_BASE_URL: gateway.baseUrl,
    MODEL_DEFAULT: "model",
    MODEL_PRICES: PRICES,
    DELEGATE_DAILY_USD: "1",
    DELEGATE_DAILY_TOKENS: "1000000",
    ...more,
  };
}

interface Sent {
  readonly to?: InsideModelSuite;
  readonly path?: string;
  readonly signal?: AbortSignal;
  readonly headers?: Readonly<Record<string, string>>;
}

async function send(userId: string, body: object, { to = suite, path, signal, headers }: Sent = {}): Promise<Response> {
  return await fetch(`${to.url}${path ?? "/v1/chat/completions"}`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: "Bearer dummy", "x-test-user": userId, ...headers },
    body: JSON.stringify({ messages: [{ role: "user", content: "Hi" }], ...body }),
    ...(signal === undefined ? {} : { signal }),
  });
}

test("a call is settled to the token and the billionth of a dollar, and shows in the books with who asked", async () => {
  gateway.script({ kind: "text", text: "Hello", usage: USAGE });
  const response = await send("exact", { stream: true, max_tokens: 500 });
  expect(response.headers.get("content-type")).toBe("text/event-stream");
  await response.text();
  const { left, audit, models, servers } = await suite.books(1, "exact");
  expect(left).toEqual({ tokens: 1_000_000 - 1_100, nanoUsd: 1e9 - COST_NANO_USD });
  expect(audit).toMatchObject([{ tool: "model/chat", outcome: "ok", clientId: "sandbox:main" }]);
  const used = { modelCalls: 1, inputTokens: 1_000, outputTokens: 100, estimatedNanoUsd: COST_NANO_USD };
  expect(models).toMatchObject([{ key: "openai/model", ...used }]);
  expect(servers).toMatchObject([{ key: "delegate", calls: 1, failed: 0, ...used }]);
  const { headers, body } = gateway.requests.at(-1) ?? {};
  expect(JSON.parse(String(headers?.["cf-aig-metadata"]))).toMatchObject({
    user: "exact",
    server: "inside",
    client: "sandbox:main",
  });
  expect(headers?.["cf-aig-authorization"]).toBe("Bearer gateway-token");
  expect(headers?.authorization).toBeUndefined();
  expect(body?.["max_tokens"]).toBe(500);
});

test("what the gateway says an answer cost goes before the price list", async () => {
  gateway.script({ kind: "text", text: "Hello", usage: { ...USAGE, cost: 0.01 } });
  await (await send("told", {})).text();
  const { left, models } = await suite.books(1, "told");
  expect(left.nanoUsd).toBe(1e9 - 10_000_000);
  expect(models).toMatchObject([{ nanoUsd: 10_000_000, estimatedNanoUsd: 0 }]);
});

test("an answer is no longer than the day has money for, and without any the client is told until when", async () => {
  await using poor = await startInsideModel(settings({ DELEGATE_DAILY_USD: "0.02" }));
  gateway.script({ kind: "text", text: "Hello", usage: { prompt_tokens: 10, completion_tokens: 1_990 } });
  await (await send("poor", { max_tokens: 60_000 }, { to: poor })).text();
  const longest = Number(gateway.requests.at(-1)?.body["max_tokens"]);
  expect(longest).toBeGreaterThan(1_900);
  expect(longest).toBeLessThan(2_000);
  await poor.books(1, "poor");
  const asked = gateway.requests.length;
  for (const [path, expected] of [
    ["/v1/chat/completions", { error: { type: "rate_limit_error", code: "insufficient_quota" } }],
    ["/v1/messages", { type: "error", error: { type: "rate_limit_error" } }],
  ] as const) {
    const refused = await send("poor", {}, { to: poor, path });
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(refused.headers.get("x-should-retry")).toBe("false");
    expect(await refused.json()).toMatchObject(expected);
  }
  expect(gateway.requests).toHaveLength(asked);
  const { audit } = await poor.books(3, "poor");
  expect(audit.map(({ outcome }) => outcome)).toEqual(["limit_reached", "limit_reached", "ok"]);
});

test("what calls under way hold of the day is not spent twice: the next waits", async () => {
  await using poor = await startInsideModel(settings({ DELEGATE_DAILY_TOKENS: "3000" }));
  const given = Promise.withResolvers<void>();
  gateway.script((_request) => (given.resolve(), { kind: "hang", afterBytes: true }));
  const client = new AbortController();
  const first = await send("twice", { stream: true }, { to: poor, signal: client.signal });
  await given.promise;
  const second = await send("twice", {}, { to: poor });
  expect(second.status).toBe(429);
  expect(second.headers.get("retry-after")).toBe("3");
  expect(await second.json()).toMatchObject({ error: { code: "rate_limit_exceeded" } });
  client.abort();
  await first.text().catch(() => undefined);
});

test("a client that hangs up ends the request, and what was set aside stays spent", async () => {
  gateway.script({ kind: "text", text: "word ".repeat(2_000), pauseMs: 400, usage: USAGE });
  const client = new AbortController();
  const response = await send("gone", { stream: true, max_tokens: 1_000 }, { signal: client.signal });
  const reader = response.body?.getReader();
  await reader?.read();
  client.abort();
  const { left, audit } = await suite.books(1, "gone");
  expect(audit).toMatchObject([{ tool: "model/chat", outcome: "cancelled" }]);
  await expect.poll(() => gateway.requests.at(-1)?.isAbandoned).toBe(true);
  expect(1_000_000 - left.tokens).toBeGreaterThan(1_000);
  expect(1_000_000 - left.tokens).toBeLessThan(1_500);
});

test("a client that hangs up while the model thinks is noticed", async () => {
  gateway.script({ kind: "hang", afterBytes: true });
  const client = new AbortController();
  const response = await send("thinks", { stream: true, max_tokens: 1_000 }, { signal: client.signal });
  await response.body?.getReader().read();
  await sleep(200);
  client.abort();
  const { audit } = await suite.books(1, "thinks");
  expect(audit).toMatchObject([{ outcome: "cancelled" }]);
  await expect.poll(() => gateway.requests.at(-1)?.isAbandoned).toBe(true);
});

test("dollars of a person's own are kept by refusing what has no known price", async () => {
  await using limited = await startInsideModel(
    settings({ LIMITS: '{"member": {"usd_per_day": 5}}', MODEL_FALLBACKS: "unpriced" }),
  );
  const asked = gateway.requests.length;
  const refused = await send("owner", { model: "unpriced" }, { to: limited });
  expect(refused.status).toBe(429);
  expect(await refused.json()).toMatchObject({
    error: {
      message:
        "What unpriced costs is not known, so usd_per_day cannot be kept; name another model, or have MODEL_PRICES set.",
    },
  });
  expect(gateway.requests).toHaveLength(asked);
  gateway.script({ kind: "text", text: "Hello" });
  expect((await send("owner", {}, { to: limited })).status).toBe(200);
});

test("without dollars of a person's own, tokens bound what has no known price", async () => {
  await using free = await startInsideModel(settings({ MODEL_FALLBACKS: "unpriced" }));
  gateway.script({ kind: "text", text: "Hello", usage: USAGE });
  expect((await send("free", { model: "unpriced" }, { to: free })).status).toBe(200);
  expect((await free.books(1, "free")).left).toEqual({ tokens: 1_000_000 - 1_100, nanoUsd: 1e9 });
});

test("a picture counts as more than its bytes, and never as a token for each of them", async () => {
  const url = `data:image/png;base64,${"A".repeat(400_000)}`;
  const content = [{ type: "image_url", image_url: { url } }];
  gateway.script({ kind: "truncated" });
  await (await send("picture", { messages: [{ role: "user", content }], max_tokens: 1_000, stream: true })).text();
  const used = 1_000_000 - (await suite.books(1, "picture")).left.tokens;
  expect(used).toBeGreaterThan(16_384);
  expect(used).toBeLessThan(20_000);
});

test("a caller without the scope, or paused, gets a sentence and no answer", async () => {
  const asked = gateway.requests.length;
  const withheld = await send("bare", {}, { headers: { "x-test-withheld": "1" } });
  expect(withheld.status).toBe(403);
  expect(await withheld.json()).toMatchObject({ error: { code: "forbidden" } });
  await suite.pause("paused");
  const paused = await send("paused", {}, { path: "/v1/messages" });
  expect(paused.status).toBe(403);
  expect(await paused.json()).toMatchObject({ type: "error", error: { type: "permission_error" } });
  expect(gateway.requests).toHaveLength(asked);
});

test("an answer under way is given up soon after its person is paused, and the client is told", async () => {
  gateway.script({ kind: "hang", afterBytes: true });
  const response = await send("stopped", { stream: true }, { path: "/v1/messages" });
  await suite.pause("stopped");
  const text = await response.text();
  expect(text).toContain("event: error\n");
  expect(text).toContain("An admin paused you");
  expect((await suite.books(1, "stopped")).audit).toMatchObject([{ outcome: "cancelled" }]);
});
