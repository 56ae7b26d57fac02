import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { type InsideModelSuite, startInsideModel } from "../support/inside-model.ts";
import type { ScriptedReply } from "../support/scripted-replies.ts";
import { type AnthropicUsage, startTestAnthropic } from "../support/test-anthropic.ts";
import { startTestGateway } from "../support/test-gateway.ts";

/** Billionths of a dollar for a token of `claude-sonnet-5`: $2, $2.50 and $4 as written, $0.20 as read, and $10. */
const PRICE = { input: 2_000, written: 2_500, longWritten: 4_000, read: 200, output: 10_000 };
const DAY_TOKENS = 20_000_000;
const HELLO = { type: "text", text: "Hello" };
const USUAL = { type: "ephemeral" };
const LONG = { type: "ephemeral", ttl: "1h" };

let endpoint: Awaited<ReturnType<typeof startTestAnthropic>>;
let suite: InsideModelSuite;

beforeAll(async () => {
  endpoint = await startTestAnthropic();
  suite = await startSuite({ DELEGATE_DAILY_USD: "100" });
});

afterAll(async () => {
  await suite[Symbol.asyncDispose]();
  await endpoint[Symbol.asyncDispose]();
});

async function startSuite(more: Readonly<Record<string, string>>): Promise<InsideModelSuite> {
  return await startInsideModel({
    ...{ AI_GATEWAY_ACCOUNT_ID: "account", AI_GATEWAY_ID: "gateway", AI_GATEWAY_TOKEN: "gateway-token" },
    ...{ AI_GATEWAY_BASE_URL: endpoint.compatUrl, DELEGATE_DAILY_TOKENS: String(DAY_TOKENS) },
    LIMITS: '{"member": {"calls_per_minute": 100000}}',
    ...more,
  });
}

async function send(userId: string, more: object, to = suite): Promise<Response> {
  return await fetch(`${to.url}/v1/messages`, {
    method: "POST",
    headers: { "x-test-user": userId },
    body: JSON.stringify({
      ...{ model: "claude-sonnet-5", max_tokens: 500, messages: [{ role: "user", content: "Hi" }] },
      ...more,
    }),
  });
}

/** What of its day a person has used, in billionths of a dollar. */
async function spentBy(
  userId: string,
  { to = suite, dayUsd = 100 } = {},
): Promise<{ tokens: number; nanoUsd: number }> {
  const { left } = await to.books(1, userId);
  return { tokens: DAY_TOKENS - left.tokens, nanoUsd: dayUsd * 1e9 - left.nanoUsd };
}

test("what was read from the cache and written to it is in the books at its own price, to the billionth of a dollar", async () => {
  endpoint.script({
    content: [HELLO],
    usage: {
      ...{ input_tokens: 10, output_tokens: 20, cache_read_input_tokens: 4_000, cache_creation_input_tokens: 300 },
      cache_creation: { ephemeral_5m_input_tokens: 200, ephemeral_1h_input_tokens: 100 },
    },
    headers: { "cf-aig-provider": "anthropic", "cf-aig-model": "claude-sonnet-5" },
  });
  const system = [
    { type: "text", text: "Be kind.", cache_control: LONG },
    { type: "text", text: "Be brief.", cache_control: USUAL },
  ];
  await (await send("exact", { system, stream: true })).text();
  const nanoUsd = 10 * 2_000 + 200 * 2_500 + 100 * 4_000 + 4_000 * 200 + 20 * 10_000;
  expect(await spentBy("exact")).toEqual({ tokens: 4_330, nanoUsd });
  const { models, audit } = await suite.books(1, "exact");
  expect(models).toMatchObject([
    { key: "anthropic/claude-sonnet-5", inputTokens: 4_310, outputTokens: 20, estimatedNanoUsd: nanoUsd },
  ]);
  expect(audit).toMatchObject([{ tool: "model/messages", outcome: "ok" }]);
});

test("where the endpoint does not tell for how long it keeps what it wrote, it is for as long as was asked", async () => {
  const usage = { input_tokens: 0, output_tokens: 0, cache_creation_input_tokens: 1_000 };
  endpoint.script({ content: [HELLO], usage }, { content: [HELLO], usage });
  await send("usual", { cache_control: USUAL });
  expect(await spentBy("usual")).toEqual({ tokens: 1_000, nanoUsd: 1_000 * PRICE.written });
  await send("long", { cache_control: LONG });
  expect(await spentBy("long")).toEqual({ tokens: 1_000, nanoUsd: 1_000 * PRICE.longWritten });
});

test("prices of one's own hold, and what is written costs so many times as much by them too", async () => {
  await using own = await startSuite({
    MODEL_PRICES: '{"claude-sonnet-5": {"input": 1, "cached_input": 0.5, "output": 3}}',
    DELEGATE_DAILY_USD: "100",
  });
  const usage = {
    ...{ input_tokens: 10, output_tokens: 20, cache_read_input_tokens: 100, cache_creation_input_tokens: 40 },
    cache_creation: { ephemeral_5m_input_tokens: 40, ephemeral_1h_input_tokens: 0 },
  };
  endpoint.script({ content: [HELLO], usage });
  await send("own", { cache_control: USUAL }, own);
  const nanoUsd = 10 * 1_000 + 100 * 500 + 40 * 1_250 + 20 * 3_000;
  expect(await spentBy("own", { to: own })).toEqual({ tokens: 170, nanoUsd });
});

test("what OpenAI had in its cache and wrote there is in the books at its own price too", async () => {
  await using gateway = await startTestGateway();
  await using compat = await startSuite({ AI_GATEWAY_BASE_URL: gateway.baseUrl, DELEGATE_DAILY_USD: "100" });
  const details = { cached_tokens: 400, cache_write_tokens: 100 };
  gateway.script({
    ...{ kind: "text", text: "Hello" },
    usage: { prompt_tokens: 1_000, completion_tokens: 20, prompt_tokens_details: details },
  });
  expect((await send("openai", { model: "openai/gpt-6-sol" }, compat)).status).toBe(200);
  // $2, $0.20 as cached, $2.50 as written, $10 for output.
  const nanoUsd = 500 * 2_000 + 400 * 200 + 100 * 2_500 + 20 * 10_000;
  expect(await spentBy("openai", { to: compat })).toEqual({ tokens: 1_020, nanoUsd });
});

const TOOL = { name: "look", input_schema: { type: "object" } };
/** The most that Anthropic says it adds for tools (an older model's, the most of its table). */
const ADDED_TOKENS = 530;

const share = fc.oneof(fc.constant(1), fc.constant(0), fc.double({ min: 0, max: 1, noNaN: true }));
const mark = fc.constantFrom(undefined, USUAL, LONG);
const call = fc.record({
  text: fc.string({ unit: "grapheme", maxLength: 500 }),
  /** Of more text. */
  length: fc.integer({ min: 0, max: 15_000 }),
  firstMark: mark,
  secondMark: mark,
  hasTool: fc.boolean(),
  stream: fc.boolean(),
  maxTokens: fc.integer({ min: 1, max: 70_000 }),
  notReadShare: share,
  writtenShare: share,
  longShare: share,
});

/** All of a long prompt is written to the cache. */
const DEAREST = {
  ...{ text: "", length: 15_000, firstMark: undefined, secondMark: undefined, hasTool: true, stream: true },
  ...{ maxTokens: 4_000, notReadShare: 1, writtenShare: 1, longShare: 1 },
};

test("no answer of an honest endpoint costs more than was set aside for it, and a day is never overdrawn", async () => {
  const dayUsd = 0.1;
  await using small = await startSuite({ DELEGATE_DAILY_USD: String(dayUsd) });
  let person = 0;
  await fc.assert(
    fc.asyncProperty(call, async ({ text, length, firstMark, secondMark, hasTool, stream, maxTokens, ...shares }) => {
      person += 1;
      const marked = (cache_control: object | undefined): object =>
        cache_control === undefined ? {} : { cache_control };
      const asked = {
        ...{ max_tokens: maxTokens, stream, ...(hasTool ? { tools: [TOOL] } : {}) },
        system: [{ type: "text", text: "Be kind.", ...marked(firstMark) }],
        messages: [
          { role: "user", content: [{ type: "text", text: `Hi ${text}${"a".repeat(length)}`, ...marked(secondMark) }] },
        ],
      };
      // One breaks off, so that it counts as all that was set aside; the other comes to the most that there can be.
      endpoint.script({ events: [] }, ({ bytes, body }) => {
        const most = bytes + (hasTool ? ADDED_TOKENS : 0);
        const isWritten = firstMark !== undefined || secondMark !== undefined;
        const isLong = firstMark === LONG || secondMark === LONG;
        const read = isWritten ? Math.floor(most * (1 - shares.notReadShare)) : 0;
        const written = isWritten ? Math.floor((most - read) * shares.writtenShare) : 0;
        const long = isLong ? Math.floor(written * shares.longShare) : 0;
        const usage: AnthropicUsage = {
          ...{ input_tokens: most - read - written, output_tokens: Number(body["max_tokens"]) },
          ...{ cache_read_input_tokens: read, cache_creation_input_tokens: written },
          cache_creation: { ephemeral_5m_input_tokens: written - long, ephemeral_1h_input_tokens: long },
        };
        return { content: [HELLO], usage };
      });
      await (await send(`broken-${person}`, asked, small)).text();
      await (await send(`most-${person}`, asked, small)).text();
      const reserved = await spentBy(`broken-${person}`, { to: small, dayUsd });
      const most = await spentBy(`most-${person}`, { to: small, dayUsd });
      expect(most.tokens).toBeGreaterThan(0);
      expect(reserved.tokens).toBeGreaterThanOrEqual(most.tokens);
      expect(reserved.nanoUsd).toBeGreaterThanOrEqual(most.nanoUsd);
      expect(reserved.nanoUsd).toBeLessThanOrEqual(dayUsd * 1e9);
    }),
    { numRuns: 20, examples: [[{ ...DEAREST, firstMark: LONG }], [{ ...DEAREST, secondMark: USUAL }]] },
  );
});

test("thoughts are fewer where the day has room for a shorter answer only, and none where it is too short for them", async () => {
  const thinking = { type: "enabled", budget_tokens: 3_000 };
  const sent: unknown[] = [];
  for (const dayUsd of ["1", "0.02", "0.012"]) {
    await using small = await startSuite({ DELEGATE_DAILY_USD: dayUsd });
    endpoint.script({ content: [HELLO] });
    expect((await send("thinks", { max_tokens: 4_000, thinking }, small)).status).toBe(200);
    const body = endpoint.requests.at(-1)?.body;
    sent.push([body?.["max_tokens"], body?.["thinking"]]);
  }
  const [whole, shorter, none] = sent;
  expect(whole).toEqual([4_000, thinking]);
  expect(shorter).toEqual([expect.any(Number), { type: "enabled", budget_tokens: expect.any(Number) }]);
  const [longest, budget] = z.tuple([z.number(), z.object({ budget_tokens: z.number() })]).parse(shorter);
  expect(longest).toBeLessThan(3_000);
  expect(budget.budget_tokens).toBe(longest - 1);
  expect(none).toEqual([expect.any(Number), undefined]);
});

test("thoughts that interleave with calls of tools have no budget beyond the answer's limit either", async () => {
  endpoint.script({ content: [HELLO] }, { content: [HELLO] });
  const budgetSent = async (maxTokens: number): Promise<unknown> => {
    const thinking = { type: "enabled", budget_tokens: 150_000 };
    expect((await send("interleaves", { max_tokens: maxTokens, thinking })).status).toBe(200);
    return endpoint.requests.at(-1)?.body["thinking"];
  };
  expect(await budgetSent(4_000)).toEqual({ type: "enabled", budget_tokens: 3_999 });
  expect(await budgetSent(1_000)).toBeUndefined();
});

test("a tool counts again wherever a conversation refers to it, for there its whole description is put", async () => {
  const described = { ...TOOL, description: "a".repeat(10_000), defer_loading: true };
  const reference = { type: "tool_reference", tool_name: "look" };
  const addition = { type: "tool_addition", tool: { type: "tool_reference", name: "look" } };
  const result = { type: "tool_result", tool_use_id: "t", content: [reference, reference] };
  const spentOn = async (userId: string, content: object[]): Promise<number> => {
    endpoint.script({ events: [] });
    await (await send(userId, { tools: [described], messages: [{ role: "user", content }] })).text();
    return (await spentBy(userId)).tokens;
  };
  const once = await spentOn("no-reference", [HELLO]);
  expect(await spentOn("references", [HELLO, reference, addition, result])).toBeGreaterThan(once + 4 * 10_000);
});

test("what a client marks for the cache in OpenAI's shape is set aside and in the books as written to it", async () => {
  await using gateway = await startTestGateway();
  await using compat = await startSuite({ AI_GATEWAY_BASE_URL: gateway.baseUrl, DELEGATE_DAILY_USD: "100" });
  const spentOn = async (userId: string, cache_control?: object): Promise<number> => {
    const content = [{ type: "text", text: "a".repeat(50_000), ...(cache_control ? { cache_control } : {}) }];
    const response = await fetch(`${compat.url}/v1/chat/completions`, {
      method: "POST",
      headers: { "x-test-user": userId },
      body: JSON.stringify({ model: "claude-sonnet-5", max_tokens: 1, messages: [{ role: "user", content }] }),
    });
    await response.text();
    return (await spentBy(userId, { to: compat })).nanoUsd;
  };
  const broken = { kind: "truncated" } as const;
  gateway.script(broken, broken, broken);
  const plain = await spentOn("plain");
  expect(await spentOn("marked", USUAL)).toBeGreaterThan(plain * 1.24);
  expect(await spentOn("marked-long", LONG)).toBeGreaterThan(plain * 1.99);
  const answered = (details: object): ScriptedReply => ({
    ...{ kind: "text", text: "Hello" },
    usage: { prompt_tokens: 1_000, completion_tokens: 1, prompt_tokens_details: details },
  });
  gateway.script(answered({}), answered({ cache_write_tokens: 400 }), answered({ cache_write_tokens: 400 }));
  expect(await spentOn("untold", USUAL)).toBe(1_000 * PRICE.written + PRICE.output);
  expect(await spentOn("told", USUAL)).toBe(600 * PRICE.input + 400 * PRICE.written + PRICE.output);
  expect(await spentOn("told-long", LONG)).toBe(600 * PRICE.input + 400 * PRICE.longWritten + PRICE.output);
});
