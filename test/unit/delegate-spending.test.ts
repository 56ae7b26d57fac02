import fc from "fast-check";
import { expect, test } from "vitest";
import { NANO_USD } from "../../servers/delegate/budget.ts";
import { type DelegateSuite, startDelegateSuite } from "../support/delegate-suite.ts";
import type { RecordedRequest, ScriptedReply } from "../support/scripted-replies.ts";
import { startTestGateway } from "../support/test-gateway.ts";

const RUNS = 50;
/** $3 and $15 a million tokens, in billionths of a dollar a token. */
const PRICE = { input: 3_000, output: 15_000 };
const SETTINGS = {
  MODEL_DEFAULT: "priced",
  MODEL_PRICES: JSON.stringify({ priced: { input: 3, output: 15 }, "openai/priced": { input: 3, output: 15 } }),
  DELEGATE_RUNS_AT_ONCE: `${RUNS}`,
  DELEGATE_DAILY_TOKENS: "200000",
  DELEGATE_DAILY_USD: "1",
};

interface Spent {
  tokens: number;
  nanoUsd: number;
}

/** What befalls one call: all that an endpoint can do to a budget. */
const fate = fc.record({
  kind: fc.constantFrom("calls", "calls", "calls", "text", "silent", "limited", "failing", "broken", "excess"),
  inputShare: fc.double({ min: 0, max: 1, noNaN: true }),
  outputShare: fc.double({ min: 0, max: 1, noNaN: true }),
});

type Fate = typeof fate extends fc.Arbitrary<infer Value> ? Value : never;

const budget = fc.record({
  tokens: fc.integer({ min: 10_000, max: 120_000 }),
  usd: fc.double({ min: 0.05, max: 0.5, noNaN: true }),
});

const person = fc.record({
  budgets: fc.array(budget, { minLength: RUNS, maxLength: RUNS }),
  fates: fc.array(fc.array(fate, { minLength: 4, maxLength: 8 }), { minLength: RUNS, maxLength: RUNS }),
});

test("fifty runs at once spend no more than each was given and than the day allows, but for excesses that end them", async () => {
  await using gateway = await startTestGateway();
  await using suite = await startDelegateSuite({ ...SETTINGS, MODEL_BASE_URL: gateway.baseUrl });
  let people = 0;
  let purse: Purse | undefined;
  await fc.assert(
    fc.asyncProperty(person, async ({ budgets, fates }) => {
      people += 1;
      const userId = `${people}`.padStart(32, "p");
      const own = (purse = new Purse(userId, fates));
      // Enough for every call of every run: which of them comes next is the runs' to say.
      const calls = fates.flat().length + 3 * RUNS;
      gateway.script(
        ...Array.from({ length: calls }, () => (request: RecordedRequest) => purse?.reply(request) ?? GONE),
      );
      const errors = await runAll(suite, userId, budgets);
      // Both limits are felt, or nothing would be shown.
      expect(errors.some((error) => error.includes("DELEGATE_DAILY_USD"))).toBe(true);
      expect(errors.some((error) => error.includes("left of budget.tokens"))).toBe(true);
      for (const [index, given] of budgets.entries()) {
        const { spent, excess } = own.of(index);
        expect(spent.tokens).toBeLessThanOrEqual(given.tokens + excess.tokens);
        expect(spent.nanoUsd).toBeLessThanOrEqual(given.usd * NANO_USD + excess.nanoUsd + fates.length);
      }
      const { spent, excess } = own.total();

      expect(spent.tokens).toBeLessThanOrEqual(Number(SETTINGS.DELEGATE_DAILY_TOKENS) + excess.tokens);
      expect(spent.nanoUsd).toBeLessThanOrEqual(
        Number(SETTINGS.DELEGATE_DAILY_USD) * NANO_USD + excess.nanoUsd + calls,
      );
    }),
    { numRuns: 2, endOnFailure: true },
  );
}, 180_000);

async function runAll(
  suite: DelegateSuite,
  userId: string,
  budgets: readonly { readonly tokens: number; readonly usd: number }[],
): Promise<string[]> {
  const runs = await Promise.all(
    budgets.map(
      async (given, index) =>
        await suite.report({ task: `${userId} ${index}`, userId, budget: { ...given, turns: 50 }, waitMs: 0 }),
    ),
  );
  const errors: string[] = [];
  for (const { runId } of runs) {
    let report = await suite.report({ runId, userId });
    while (report.status === "running") report = await suite.report({ runId, userId });
    errors.push(report.error ?? "");
  }
  return errors;
}

/** What the endpoint really did for each run, whatever it said. */
class Purse {
  readonly #fates: readonly (readonly Fate[])[];
  readonly #asked: number[];
  readonly #spent: Spent[];
  readonly #excess: Spent[];
  readonly #userId: string;

  constructor(userId: string, fates: readonly (readonly Fate[])[]) {
    this.#userId = userId;
    this.#fates = fates;
    this.#asked = fates.map(() => 0);
    this.#spent = fates.map(() => ({ tokens: 0, nanoUsd: 0 }));
    this.#excess = fates.map(() => ({ tokens: 0, nanoUsd: 0 }));
  }

  of(index: number): { spent: Spent; excess: Spent } {
    return { spent: this.#spent[index] ?? NOTHING, excess: this.#excess[index] ?? NOTHING };
  }

  total(): { spent: Spent; excess: Spent } {
    return { spent: sum(this.#spent), excess: sum(this.#excess) };
  }

  reply({ bytes, body }: RecordedRequest): ScriptedReply {
    const [userId, task] = String(body.messages[1]?.content).split(" ");
    if (userId !== this.#userId) return GONE;
    const index = Number(task);
    const nth = this.#asked[index] ?? 0;
    this.#asked[index] = nth + 1;
    const { kind, inputShare, outputShare } = this.#fates[index]?.[nth] ?? LAST;
    const [inputMost, outputMost] = [bytes, Number(body["max_tokens"])];
    const factor = kind === "excess" ? 1.5 : 1;
    const input = Math.floor(inputMost * (kind === "excess" ? 1 : inputShare) * factor);
    const output = Math.floor(outputMost * (kind === "excess" ? 1 : outputShare) * factor);
    if (kind === "limited") return { kind: "status", status: 429 };
    this.#count(index, { input, output }, { inputMost, outputMost });
    const usage = { prompt_tokens: input, completion_tokens: output };
    switch (kind) {
      case "failing":
        return { kind: "status", status: 503 };
      case "broken":
        return { kind: "truncated" };
      case "text":
        return { kind: "text", text: "Done.", usage };
      case "silent":
        return { kind: "calls", calls: [noteOf(nth)], usage: undefined };
      case "calls":
      case "excess":
        return { kind: "calls", calls: [noteOf(nth)], usage };
    }
  }

  #count(
    index: number,
    used: { readonly input: number; readonly output: number },
    most: { readonly inputMost: number; readonly outputMost: number },
  ): void {
    const cost = { tokens: used.input + used.output, nanoUsd: used.input * PRICE.input + used.output * PRICE.output };
    const limit = {
      tokens: most.inputMost + most.outputMost,
      nanoUsd: most.inputMost * PRICE.input + most.outputMost * PRICE.output,
    };
    add(this.#spent[index], cost);
    add(this.#excess[index], {
      tokens: Math.max(0, cost.tokens - limit.tokens),
      nanoUsd: Math.max(0, cost.nanoUsd - limit.nanoUsd),
    });
  }
}

const GONE: ScriptedReply = { kind: "status", status: 501 };
const NOTHING: Readonly<Spent> = { tokens: 0, nanoUsd: 0 };
const LAST: Fate = { kind: "text", inputShare: 0.1, outputShare: 0.1 };

function noteOf(nth: number): { name: string; input: { text: string } } {
  return { name: "note", input: { text: `${nth}` } };
}

function add(to: Spent | undefined, more: Spent): void {
  if (to === undefined) throw new Error("There is no such run.");
  to.tokens += more.tokens;
  to.nanoUsd += more.nanoUsd;
}

function sum(all: readonly Spent[]): Spent {
  const total = { tokens: 0, nanoUsd: 0 };
  for (const one of all) add(total, one);
  return total;
}
