import fc from "fast-check";
import { expect, test } from "vitest";
import {
  EMPTY_LEDGER,
  type Ledger,
  MAX_TOKENS,
  NANO_USD,
  type TokenPrice,
  type Usage,
  budgetInput,
  budgetOf,
  charge,
  chargeChild,
  childBudget,
  isExcess,
  ledgerSchema,
  plan,
  release,
  roomIn,
  settle,
  settleChild,
} from "../../servers/delegate/budget.ts";

/** $3 and $15 a million tokens. */
const PRICE: TokenPrice = { input: 3_000, output: 15_000 };

test("a budget that nobody states has sane limits, and dollars stand for tokens", () => {
  expect(budgetOf({})).toEqual({ tokens: 200_000, turns: 20, seconds: 600 });
  expect(budgetOf({ usd: 0.5 })).toEqual({ nanoUsd: 500_000_000, tokens: MAX_TOKENS, turns: 20, seconds: 600 });
});

test("a budget in a unit that does not exist is refused rather than ignored", () => {
  expect(budgetInput.safeParse({ dollars: 1 }).success).toBe(false);
});

test("a call is reserved at the size of its request and the longest answer that there is room for", () => {
  expect(plan({ tokens: 10_000 }, 4_000, undefined)).toEqual({ tokens: 10_000, answerTokens: 6_000, nanoUsd: 0 });
  expect(plan({ tokens: 200_000 }, 4_000, PRICE)).toEqual({
    tokens: 12_192,
    answerTokens: 8_192,
    nanoUsd: 4_000 * 3_000 + 8_192 * 15_000,
  });
});

test("money bounds the answer as tokens do", () => {
  const room = { tokens: 200_000, nanoUsd: 4_000 * 3_000 + 1_000 * 15_000 };
  expect(plan(room, 4_000, PRICE)).toMatchObject({ answerTokens: 1_000, nanoUsd: room.nanoUsd });
});

test("a call that there is no room for is not planned", () => {
  expect(plan({ tokens: 4_200 }, 4_000, undefined)).toBeUndefined();
  expect(plan({ tokens: 200_000, nanoUsd: 4_000 * 3_000 }, 4_000, PRICE)).toBeUndefined();
});

test("a call that reports nothing keeps its reservation, a refused one gives it back", () => {
  const reservation = { tokens: 5_000, answerTokens: 1_000, nanoUsd: 700 };
  const charged = charge(EMPTY_LEDGER, reservation);
  expect(settle(charged, reservation, undefined).charged).toEqual({ tokens: 5_000, nanoUsd: 700 });
  expect(release(charged, reservation)).toEqual(EMPTY_LEDGER);
});

test("a cost beyond all reason is counted, and the ledger can still be read", () => {
  const reservation = { tokens: 5_000, answerTokens: 1_000, nanoUsd: 700 };
  let ledger = EMPTY_LEDGER;
  for (let call = 0; call < 200; call++) {
    ledger = settle(charge(ledger, reservation), reservation, { ...used(10, 10), costUsd: 1e12 });
  }
  expect(ledgerSchema.parse(ledger).charged.nanoUsd).toBeGreaterThan(1_000_000 * NANO_USD);
});

test("an answer without a known cost keeps the money that was set aside for it", () => {
  const reservation = { tokens: 5_000, answerTokens: 1_000, nanoUsd: 700 };
  const settled = settle(charge(EMPTY_LEDGER, reservation), reservation, used(10, 10));
  expect(settled).toMatchObject({ charged: { tokens: 20, nanoUsd: 700 }, costNanoUsd: 0, isCostKnown: false });
});

test("a run that a run starts gets half of what is left unless it asks for more or less, and never more than that", () => {
  const budget = budgetOf({ tokens: 100_000, usd: 1 });
  expect(childBudget(budget, EMPTY_LEDGER, {}, 90)).toEqual({
    tokens: 50_000,
    nanoUsd: NANO_USD / 2,
    turns: 20,
    seconds: 90,
  });
  expect(childBudget(budget, EMPTY_LEDGER, { tokens: 500_000, usd: 7 }, 900)).toMatchObject({
    tokens: 100_000,
    nanoUsd: NANO_USD,
    seconds: 600,
  });
});

/** What befalls one model call, or one run that the run starts. */
const fate = fc.record({
  kind: fc.constantFrom("answered", "refused", "silent", "excess", "child"),
  requestBytes: fc.nat(40_000),
  inputShare: fc.double({ min: 0, max: 1, noNaN: true }),
  outputShare: fc.double({ min: 0, max: 1, noNaN: true }),
  excess: fc.double({ min: 1.01, max: 3, noNaN: true }),
});

const price = fc.option(fc.record({ input: fc.nat(30_000), output: fc.nat(200_000) }), { nil: undefined });

test("whatever calls cost and however they fail, no run spends more than its budget and one excess that ends it", () => {
  const budgets = fc.record({
    tokens: fc.integer({ min: 1_000, max: 500_000 }),
    usd: fc.option(fc.double({ min: 0.0001, max: 5, noNaN: true })),
  });
  fc.assert(
    fc.property(budgets, price, fc.array(fate, { maxLength: 40 }), ({ tokens, usd }, tokenPrice, fates) => {
      const isPriced = usd !== null && tokenPrice !== undefined;
      const budget = budgetOf({ tokens, ...(isPriced ? { usd } : {}) });
      let ledger: Ledger = EMPTY_LEDGER;
      const really = { tokens: 0, nanoUsd: 0 };
      for (const [index, { kind, ...befalls }] of fates.entries()) {
        if (kind === "child") {
          const given = childBudget(budget, ledger, {}, 60);
          if (given.tokens < 1_000 || (given.nanoUsd ?? 1) < 1) continue;
          ledger = chargeChild(ledger, `${index}`, given);
          const share = {
            tokens: Math.floor(given.tokens * befalls.inputShare),
            nanoUsd: Math.floor((given.nanoUsd ?? 0) * befalls.inputShare),
          };
          really.tokens += share.tokens;
          really.nanoUsd += share.nanoUsd;
          if (befalls.outputShare > 0.2) ledger = settleChild(ledger, `${index}`, { ...EMPTY_LEDGER, charged: share });
          continue;
        }
        const reservation = plan(roomIn(budget, ledger), befalls.requestBytes, tokenPrice);
        if (reservation === undefined) continue;
        ledger = charge(ledger, reservation);
        expect(ledger.charged.tokens).toBeLessThanOrEqual(budget.tokens);
        expect(ledger.charged.nanoUsd).toBeLessThanOrEqual(budget.nanoUsd ?? Infinity);
        if (kind === "refused") {
          ledger = release(ledger, reservation);
          continue;
        }
        const factor = kind === "excess" ? befalls.excess : 1;
        const inputTokens = Math.floor(befalls.requestBytes * (kind === "excess" ? 1 : befalls.inputShare) * factor);
        const outputTokens = Math.floor(
          reservation.answerTokens * (kind === "excess" ? 1 : befalls.outputShare) * factor,
        );
        const nanoUsd =
          tokenPrice === undefined ? 0 : inputTokens * tokenPrice.input + outputTokens * tokenPrice.output;
        really.tokens += inputTokens + outputTokens;
        really.nanoUsd += nanoUsd;
        const usage: Usage | undefined =
          kind === "silent"
            ? undefined
            : {
                ...used(inputTokens, outputTokens),
                ...(tokenPrice === undefined ? {} : { costUsd: nanoUsd / NANO_USD }),
              };
        ledger = settle(ledger, reservation, usage);
        // What really was used is never more than what is counted; a billionth is lost to rounding at most.
        expect(really.tokens).toBeLessThanOrEqual(ledger.charged.tokens);
        expect(really.nanoUsd).toBeLessThanOrEqual(ledger.charged.nanoUsd + index + 1);
        if (usage !== undefined && isExcess(usage, reservation)) break;
        expect(ledger.charged.tokens).toBeLessThanOrEqual(budget.tokens);
        expect(ledger.charged.nanoUsd).toBeLessThanOrEqual((budget.nanoUsd ?? Infinity) + index + 1);
      }
    }),
    { numRuns: 2_000 },
  );
});

function used(inputTokens: number, outputTokens: number): Usage {
  return { inputTokens, outputTokens, cachedTokens: 0 };
}
