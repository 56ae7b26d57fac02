import { expect, test } from "vitest";
import { type ModelEndpoint, modelEndpoint } from "../../servers/delegate/model/endpoint.ts";
import { SettingsError, parseSettings } from "../../servers/shared/settings.ts";
import { startTestGateway } from "../support/test-gateway.ts";
import { LOCAL_SETTINGS } from "../support/local-settings.ts";

const LABELS = {
  user: "u".repeat(32),
  run: "run-0123456789abcdef",
  depth: "1",
  server: "delegate",
  client: "client-1",
};
const GATEWAY = { AI_GATEWAY_ACCOUNT_ID: "acc", AI_GATEWAY_ID: "gate way", AI_GATEWAY_TOKEN: "tok" };
/** What it is always asked with, whatever the shape. */
const GATEWAY_HEADERS = {
  "cf-aig-authorization": "Bearer tok",
  "cf-aig-metadata": JSON.stringify(LABELS),
  "cf-aig-session-id": "run-0123456789abcdef",
  "cf-aig-max-attempts": "1",
  "cf-aig-collect-log-payload": "false",
  "cf-aig-skip-cache": "true",
};

function settings(given: Record<string, string>): ReturnType<typeof parseSettings> {
  return parseSettings({ ...LOCAL_SETTINGS, ...given });
}

function endpoint(given: Record<string, string>, labels = LABELS): ModelEndpoint {
  const found = modelEndpoint(settings(given), labels);
  if (found === undefined) throw new Error("There is no endpoint.");
  return found;
}

test("without any model setting there is no endpoint", () => {
  expect(modelEndpoint(settings({}), LABELS)).toBeUndefined();
});

test("AI Gateway is asked at its own address, once, with its token and labels, without cache or log of what is said", () => {
  expect(endpoint({ ...GATEWAY, MODEL_API_KEY: "key" })).toMatchObject({
    baseUrl: "https://gateway.ai.cloudflare.com/v1/acc/gate%20way/compat",
    zeroRetention: "not asked",
  });
  expect(endpoint({ ...GATEWAY, MODEL_API_KEY: "key" }).headers).toEqual({
    authorization: "Bearer key",
    ...GATEWAY_HEADERS,
  });
});

test("without a provider's key the gateway uses one that it stores, or its own billing", () => {
  expect(endpoint(GATEWAY).headers).not.toHaveProperty("authorization");
  expect(endpoint({ ...GATEWAY, AI_GATEWAY_BYOK_ALIAS: "production" }).headers).toMatchObject({
    "cf-aig-byok-alias": "production",
  });
});

test("the REST API is asked with the token as its key, and is told the gateway", () => {
  const rest = endpoint({ ...GATEWAY, AI_GATEWAY_API: "rest" });
  expect(rest.baseUrl).toBe("https://api.cloudflare.com/client/v4/accounts/acc/ai/v1");
  expect(rest.headers).toMatchObject({ authorization: "Bearer tok", "cf-aig-gateway-id": "gate way" });
  expect(rest.headers).not.toHaveProperty("cf-aig-authorization");
});

test("timeout, attempts, cache, log and zero data retention follow the settings", () => {
  const all = endpoint({
    ...GATEWAY,
    AI_GATEWAY_BASE_URL: "https://ai.example.com/compat/",
    AI_GATEWAY_TIMEOUT: "90s",
    AI_GATEWAY_ATTEMPTS: "3",
    AI_GATEWAY_CACHE_TTL: "3600",
    AI_GATEWAY_LOG_PAYLOADS: "true",
    AI_GATEWAY_ZDR: "true",
  });
  expect(all).toMatchObject({ baseUrl: "https://ai.example.com/compat", zeroRetention: "asked" });
  expect(all.headers).toMatchObject({
    "cf-aig-request-timeout": "90000",
    "cf-aig-max-attempts": "3",
    "cf-aig-cache-ttl": "3600",
    "cf-aig-collect-log-payload": "true",
    "cf-aig-zdr": "true",
  });
  expect(all.headers).not.toHaveProperty("cf-aig-skip-cache");
  const withKey = endpoint({ ...GATEWAY, AI_GATEWAY_ZDR: "true", MODEL_API_KEY: "key" });
  expect(withKey.zeroRetention).toBe("asked with own key");
});

test("labels in any script reach the gateway", async () => {
  await using gateway = await startTestGateway();
  gateway.script({ kind: "text", text: "hi" });
  const labels = { ...LABELS, client: "Клиент 🦀" };
  const { headers } = endpoint(GATEWAY, labels);
  const body = JSON.stringify({ model: "m", messages: [] });
  await fetch(`${gateway.baseUrl}/chat/completions`, { method: "POST", headers, body });
  expect(JSON.parse(String(gateway.requests[0]?.headers["cf-aig-metadata"]))).toEqual(labels);
});

test("Anthropic's own models are asked in Anthropic's own shape where AI Gateway or Anthropic is the endpoint", () => {
  const named = (given: Record<string, string>, model = "anthropic/claude-opus-4.8"): unknown => {
    const { messages } = endpoint(given);
    return messages && [messages.url, messages.countUrl, messages.nameOf(model)];
  };
  const gateway = "https://gateway.ai.cloudflare.com/v1/acc/gate%20way/anthropic/v1/messages";
  expect(named(GATEWAY)).toEqual([gateway, `${gateway}/count_tokens`, "claude-opus-4-8"]);
  expect(named(GATEWAY, "openai/gpt-6-sol")).toEqual([gateway, `${gateway}/count_tokens`, undefined]);
  expect(named({ ...GATEWAY, AI_GATEWAY_BASE_URL: "https://ai.example.com/compat" })).toEqual([
    ...["https://ai.example.com/anthropic/v1/messages", "https://ai.example.com/anthropic/v1/messages/count_tokens"],
    "claude-opus-4-8",
  ]);
  const rest = "https://api.cloudflare.com/client/v4/accounts/acc/ai/v1/messages";
  expect(named({ ...GATEWAY, AI_GATEWAY_API: "rest" }, "claude-opus-4-8")).toEqual([
    ...[rest, undefined, "anthropic/claude-opus-4-8"],
  ]);
  const direct = { MODEL_BASE_URL: "https://api.anthropic.com/v1", MODEL_API_KEY: "key" };
  const own = "https://api.anthropic.com/v1/messages";
  expect(named(direct, "claude-opus-4-8")).toEqual([own, `${own}/count_tokens`, "claude-opus-4-8"]);
  expect(endpoint(direct).messages?.headers).toEqual({ "anthropic-version": "2023-06-01", "x-api-key": "key" });
  for (const url of ["http://localhost:11434/v1", "https://openrouter.ai/api/v1", "http://api.anthropic.com/v1"]) {
    expect(named({ MODEL_BASE_URL: url })).toBeUndefined();
  }
  expect(named({ ...GATEWAY, AI_GATEWAY_BASE_URL: "https://ai.example.com/other" })).toBeUndefined();
});

test("Anthropic's key goes where Anthropic looks for it, and the gateway's options go along", () => {
  const { messages } = endpoint({ ...GATEWAY, MODEL_API_KEY: "key" });
  expect(messages?.headers).toEqual({
    "anthropic-version": "2023-06-01",
    "x-api-key": "key",
    ...GATEWAY_HEADERS,
  });
  expect(endpoint(GATEWAY).messages?.headers).not.toHaveProperty("x-api-key");
});

test("the gateway's token is never sent to MODEL_BASE_URL", () => {
  const both = { ...GATEWAY, MODEL_BASE_URL: "http://localhost:11434/v1/" };
  expect(endpoint(both)).toMatchObject({ baseUrl: "http://localhost:11434/v1", headers: {} });
});

test("a listed model costs its listed price wherever it is asked, and what another costs nobody knows", () => {
  const inputPrice = (given: Record<string, string>, model: string): number | undefined =>
    endpoint(given).priceOf(model)?.inputUsdPerMillion;
  expect(inputPrice({ MODEL_BASE_URL: "http://localhost:11434/v1" }, "qwen3")).toBeUndefined();
  expect(inputPrice({ MODEL_BASE_URL: "https://api.anthropic.com/v1" }, "claude-opus-5")).toBe(5);
  expect(inputPrice(GATEWAY, "anthropic/claude-opus-5")).toBe(5);
  expect(inputPrice({ MODEL_BASE_URL: "https://models.example.com/v1" }, "claude-opus-5")).toBe(5);
});

test("prices of one's own go before the listed ones, at every endpoint", () => {
  const MODEL_PRICES = JSON.stringify({
    "anthropic/claude-opus-5": { input: 1, cached_input: 0.5, output: 2 },
    mine: { input: 3, output: 4 },
  });
  expect(endpoint({ ...GATEWAY, MODEL_PRICES }).priceOf("claude-opus-5-20260724")).toEqual({
    inputUsdPerMillion: 1,
    cachedInputUsdPerMillion: 0.5,
    outputUsdPerMillion: 2,
    source: "MODEL_PRICES",
  });
  const local = endpoint({ MODEL_BASE_URL: "http://127.0.0.1:1234/v1", MODEL_PRICES });
  expect(local.priceOf("mine")).toMatchObject({ inputUsdPerMillion: 3, outputUsdPerMillion: 4 });
  // A gateway says whose model answered.
  expect(local.priceOf("openai/mine")).toMatchObject({ inputUsdPerMillion: 3, outputUsdPerMillion: 4 });
  expect(local.priceOf("openai/mine-too")).toBeUndefined();
});

test.each([
  [{ AI_GATEWAY_ZDR: "true" }, /^AI_GATEWAY_ACCOUNT_ID is missing while part of AI_GATEWAY_\* is set\.$/],
  [{ AI_GATEWAY_API: "rest" }, /^AI_GATEWAY_ACCOUNT_ID is missing/],
  [{ ...GATEWAY, AI_GATEWAY_API: "soap" }, /^AI_GATEWAY_API: /],
  [{ ...GATEWAY, AI_GATEWAY_ATTEMPTS: "6" }, /^AI_GATEWAY_ATTEMPTS: /],
  [{ ...GATEWAY, AI_GATEWAY_CACHE_TTL: "5" }, /^AI_GATEWAY_CACHE_TTL: /],
  [{ ...GATEWAY, AI_GATEWAY_ZDR: "yes" }, /^AI_GATEWAY_ZDR: give true or false\.$/],
  [{ ...GATEWAY, AI_GATEWAY_API: "rest", MODEL_API_KEY: "k" }, /^MODEL_API_KEY is set while AI_GATEWAY_API is rest/],
  [{ ...GATEWAY, AI_GATEWAY_API: "rest", AI_GATEWAY_BYOK_ALIAS: "a" }, /^AI_GATEWAY_BYOK_ALIAS is set while/],
  [
    { ...GATEWAY, AI_GATEWAY_BYOK_ALIAS: "a", MODEL_API_KEY: "k" },
    /^AI_GATEWAY_BYOK_ALIAS and MODEL_API_KEY are both set/,
  ],
  [{ ...GATEWAY, AI_GATEWAY_ZDR: "true", MODEL_BASE_URL: "http://localhost:1/v1" }, /^AI_GATEWAY_ZDR is true while/],
  [{ ...GATEWAY, AI_GATEWAY_BASE_URL: "http://ai.example.com" }, /^AI_GATEWAY_BASE_URL would show the token/],
  [{ MODEL_PRICES: "gpt: 1" }, /^MODEL_PRICES: give JSON such as /],
  [{ MODEL_PRICES: '{"m":{"input":-1,"output":1}}' }, /^MODEL_PRICES\.m\.input: /],
  [{ MODEL_PRICES: '{"m":{"input":1}}' }, /^MODEL_PRICES\.m\.output: /],
])("%j stops the Worker with a sentence", (given, sentence) => {
  let problems: readonly string[] = [];
  try {
    settings(given);
  } catch (failure) {
    if (!(failure instanceof SettingsError)) throw failure;
    ({ problems } = failure);
  }
  expect(problems[0]).toMatch(sentence);
});
