import { expect, test } from "vitest";
import {
  EMPTY_LEDGER,
  type Usage,
  budgetInput,
  charge,
  overrun,
  plan,
  release,
  settle,
} from "../../servers/delegate/budget.ts";

test("a budget that nobody states has sane limits", () => {
  expect(budgetInput.parse({})).toEqual({ tokens: 200_000, steps: 20, seconds: 600 });
});

test("a budget in a unit that does not exist is refused rather than ignored", () => {
  expect(budgetInput.safeParse({ dollars: 1 }).success).toBe(false);
});

test("a call is reserved at the size of its request and the longest answer that is left", () => {
  const budget = budgetInput.parse({ tokens: 10_000 });
  expect(plan(budget, EMPTY_LEDGER, 4_000)).toEqual({ tokens: 10_000, answerTokens: 6_000 });
  expect(plan(budgetInput.parse({}), EMPTY_LEDGER, 4_000)).toEqual({ tokens: 12_192, answerTokens: 8_192 });
});

test("a call that the rest of the budget may not cover is not planned", () => {
  const budget = budgetInput.parse({ tokens: 10_000 });
  expect(plan(budget, { ...EMPTY_LEDGER, chargedTokens: 5_800 }, 4_000)).toBeUndefined();
});

test("a call that reports nothing keeps its reservation, a refused one gives it back", () => {
  const reservation = { tokens: 5_000, answerTokens: 1_000 };
  const charged = charge(EMPTY_LEDGER, reservation);
  expect(settle(charged, reservation, undefined).chargedTokens).toBe(5_000);
  expect(release(charged, reservation)).toEqual(EMPTY_LEDGER);
});

test("a run given dollars ends when they are spent, and at once where no cost is reported", () => {
  const budget = budgetInput.parse({ usd: 0.5 });
  const reservation = { tokens: 5_000, answerTokens: 1_000 };
  const paid = { inputTokens: 10, outputTokens: 10, costUsd: 0.3 };
  const once = settle(charge(EMPTY_LEDGER, reservation), reservation, paid);
  const twice = settle(charge(once, reservation), reservation, paid);
  expect(overrun(budget, once, reservation, paid)).toBeUndefined();
  expect(overrun(budget, twice, reservation, paid)).toMatch(/^budget\.usd is used up/);
  expect(overrun(budget, once, reservation, { inputTokens: 10, outputTokens: 10 })).toMatch(/reports no cost/);
});

test("no sequence of calls, failures and reports spends more than the budget and one excess that ends the run", () => {
  const random = mulberry32(20_261_122);
  for (let round = 0; round < 2_000; round++) {
    const budget = budgetInput.parse({ tokens: 1_000 + Math.floor(random() * 50_000) });
    let ledger = EMPTY_LEDGER;
    let spent = 0;
    let isOver = false;
    for (let call = 0; call < 50 && !isOver; call++) {
      const reservation = plan(budget, ledger, Math.floor(random() * 8_000));
      if (reservation === undefined) break;
      ledger = charge(ledger, reservation);
      const fate = random();
      if (fate < 0.2) {
        ledger = release(ledger, reservation);
        continue;
      }
      // What the call really used: within the reservation, except where the endpoint ignores its limits.
      const factor = fate > 0.95 ? 1 + random() : random();
      const outputTokens = Math.floor(reservation.answerTokens * factor);
      const inputTokens = Math.floor((reservation.tokens - reservation.answerTokens) * factor);
      const usage: Usage | undefined = fate < 0.4 ? undefined : { inputTokens, outputTokens };
      const within = inputTokens + outputTokens <= reservation.tokens;
      spent += inputTokens + outputTokens;
      ledger = settle(ledger, reservation, usage);
      isOver = overrun(budget, ledger, reservation, usage) !== undefined;
      if (within) expect(spent).toBeLessThanOrEqual(ledger.chargedTokens);
      expect(isOver).toBe(usage !== undefined && !within);
      if (!isOver) expect(ledger.chargedTokens).toBeLessThanOrEqual(budget.tokens);
    }
  }
});

/** A small seeded generator, so that a failure can be repeated. */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
