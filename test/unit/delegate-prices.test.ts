import fc from "fast-check";
import { expect, test } from "vitest";
import { LISTED_PRICES } from "../../servers/delegate/model/listed-prices.ts";
import { costUsd, priceOf, reservedRates } from "../../servers/delegate/model/model-prices.ts";

test.each([
  ["anthropic/claude-opus-4.8", 5],
  ["anthropic/claude-opus-4-8", 5],
  ["claude-haiku-4-5-20251001", 1],
  ["openai/gpt-6-sol", 2],
  ["gpt-6-sol-2026-09-22", 2],
  ["google-ai-studio/gemini-3.5-flash", 1.5],
  ["google/gemini-3.5-flash", 1.5],
  ["models/gemini-3.5-flash", undefined],
  ["grok/grok-4.7", 2],
  ["workers-ai/@cf/openai/gpt-oss-20b", 0.2],
  ["@cf/openai/gpt-oss-20b", 0.2],
  ["google-ai-studio/google/gemini-3.5-flash", 1.5],
  ["groq/openai/gpt-oss-20b", undefined],
  ["openrouter/openai/gpt-6-sol", undefined],
  ["openai/gpt-6-sol-fast", undefined],
  ["dynamic/cheap", undefined],
  ["cloudflare/auto", undefined],
  ["", undefined],
])("input of %s is listed at %s USD per million tokens", (model, usd) => {
  expect(priceOf(model)?.inputUsdPerMillion).toBe(usd);
});

test("every listed price names the page that says so and the day on which it was read", () => {
  for (const { source, readOn } of LISTED_PRICES.values()) {
    expect(source).toMatch(/^https:\/\//);
    expect(readOn).toMatch(/^2026-\d{2}-\d{2}$/);
  }
  expect([...LISTED_PRICES.keys()].filter((model) => priceOf(model) === undefined)).toEqual([]);
});

test("input from the provider's cache is cheaper where the provider says so", () => {
  const used = { inputTokens: 1_000_000, cachedTokens: 400_000, outputTokens: 100_000 };
  const price = { inputUsdPerMillion: 5, outputUsdPerMillion: 25, source: "test" };
  expect(costUsd(price, used)).toBeCloseTo(7.5, 10);
  expect(costUsd({ ...price, cachedInputUsdPerMillion: 0.5 }, used)).toBeCloseTo(5.7, 10);
});

test("input that OpenAI writes to its prompt cache is dearer: all that was not cached, unless it tells how much", () => {
  const price = priceOf("openai/gpt-6-sol");
  if (price === undefined) throw new Error("It is listed.");
  const used = { inputTokens: 100_000, cachedTokens: 40_000, outputTokens: 1_000 };
  // $2 for input, $0.20 for cached input, $2.50 for written input and $10 for output.
  expect(costUsd(price, used)).toBeCloseTo((40_000 * 0.2 + 60_000 * 2.5 + 1_000 * 10) / 1e6, 10);
  expect(costUsd(price, { ...used, writtenTokens: 10_000 })).toBeCloseTo(
    (40_000 * 0.2 + 50_000 * 2 + 10_000 * 2.5 + 1_000 * 10) / 1e6,
    10,
  );
  expect(reservedRates(price, 100_000)).toEqual({ input: 2_500, output: 10_000 });
  expect(
    costUsd({ ...price, cacheWrite: { usual: 1.25, long: 2 } }, { ...used, longWrittenTokens: 60_000 }),
  ).toBeCloseTo((40_000 * 0.2 + 60_000 * 4 + 1_000 * 10) / 1e6, 10);
});

test("a long prompt costs its own price for every token", () => {
  const price = priceOf("anthropic/claude-haiku-5.5");
  if (price === undefined) throw new Error("It is listed.");
  expect(costUsd(price, { inputTokens: 100_000, cachedTokens: 0, outputTokens: 1_000 })).toBeCloseTo(0.0105, 10);
  expect(costUsd(price, { inputTokens: 100_001, cachedTokens: 0, outputTokens: 1_000 })).toBeCloseTo(0.0525005, 10);
});

test("whatever part of the input was cached or written, what was reserved for a request of that size covers it", () => {
  const tokens = fc.nat({ max: 2_000_000 });
  const used = fc.record(
    {
      inputTokens: tokens,
      cachedTokens: tokens,
      outputTokens: tokens,
      writtenTokens: tokens,
      longWrittenTokens: tokens,
    },
    { requiredKeys: ["inputTokens", "cachedTokens", "outputTokens"] },
  );
  const cacheWrite = fc.option(fc.constant({ usual: 1.25, long: 2 }), { nil: undefined });
  const prices = fc.constantFrom(...LISTED_PRICES.values());
  fc.assert(
    fc.property(prices, cacheWrite, used, tokens, tokens, (listed, asked, spent, moreInput, moreOutput) => {
      const price = asked === undefined ? listed : { ...listed, cacheWrite: asked };
      const mostInput = spent.inputTokens + moreInput;
      const rates = reservedRates(price, mostInput);
      if (rates === undefined) throw new Error("It has a price.");
      const reservedUsd = (mostInput * rates.input + (spent.outputTokens + moreOutput) * rates.output) / 1e9;
      expect(reservedUsd * (1 + 1e-12)).toBeGreaterThanOrEqual(costUsd(price, spent));
    }),
  );
});
