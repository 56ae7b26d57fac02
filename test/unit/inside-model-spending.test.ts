import fc from "fast-check";
import { expect, test } from "vitest";
import { startInsideModel } from "../support/inside-model.ts";
import type { RecordedRequest, ScriptedReply } from "../support/scripted-replies.ts";
import { startTestGateway } from "../support/test-gateway.ts";

const DAY_USD = 0.2;
const DAY_TOKENS = 60_000;
/** USD per million tokens, and so thousands of billionths a token. */
const PRICES = { cheap: { input: 0.1, output: 0.5 }, dear: { input: 5, output: 25 } };
const MODELS = ["cheap", "dear", "unpriced"] as const;

const tokens = fc.integer({ min: 0, max: 20_000 });
const reply = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("text" as const),
      text: fc.string({ maxLength: 40 }),
      usage: fc.option(fc.record({ prompt_tokens: tokens, completion_tokens: tokens }), { nil: undefined, freq: 5 }),
    }),
  },
  fc.record({ kind: fc.constant("status" as const), status: fc.constantFrom(400, 401, 429, 500, 503) }),
  fc.constant({ kind: "truncated" as const }),
  fc.constant({ kind: "spend limit" as const }),
);
const call = fc.record({
  path: fc.constantFrom("/v1/chat/completions", "/v1/messages", "/v1/responses"),
  model: fc.constantFrom(...MODELS),
  text: fc.string({ unit: "grapheme", maxLength: 2_000 }),
  maxTokens: fc.option(fc.integer({ min: 1, max: 70_000 }), { nil: undefined }),
  stream: fc.boolean(),
});

interface Spent {
  readonly tokens: number;
  readonly nanoUsd: number;
}

interface Settled {
  readonly reserved: Spent;
  readonly counted: Spent;
}

function priced(model: string, input: number, output: number): Spent {
  const price = model === "cheap" || model === "dear" ? PRICES[model] : { input: 0, output: 0 };
  return {
    tokens: input + output,
    nanoUsd: Math.round(input * price.input * 1_000 + output * price.output * 1_000),
  };
}

/** What a call sets aside, and what it has to count for in the end. */
function settledOf({ body, bytes }: RecordedRequest, played: ScriptedReply): Settled {
  const limitField = `"max_tokens":${String(body["max_tokens"])},`;
  const reserved = priced(body.model, bytes - limitField.length + 64, Number(body["max_tokens"]));
  if (played.kind === "status" && played.status < 500) return { reserved, counted: { tokens: 0, nanoUsd: 0 } };
  if (played.kind === "spend limit") return { reserved, counted: { tokens: 0, nanoUsd: 0 } };
  const usage = played.kind === "text" ? played.usage : undefined;
  if (usage === undefined) return { reserved, counted: reserved };
  const { prompt_tokens: input, completion_tokens: output } = usageIn(usage);
  return { reserved, counted: priced(body.model, input, output) };
}

function usageIn(usage: unknown): { readonly prompt_tokens: number; readonly completion_tokens: number } {
  if (typeof usage !== "object" || usage === null) throw new Error("No usage.");
  const { prompt_tokens, completion_tokens } = { prompt_tokens: 0, completion_tokens: 0, ...usage };
  return { prompt_tokens, completion_tokens };
}

function sum(of: readonly Spent[]): Spent {
  return of.reduce((a, b) => ({ tokens: a.tokens + b.tokens, nanoUsd: a.nanoUsd + b.nanoUsd }), {
    tokens: 0,
    nanoUsd: 0,
  });
}

test("whatever is asked at once and however it ends, a day comes to what was reported, and to no more than its limit and the excess", async () => {
  await using gateway = await startTestGateway();
  await using suite = await startInsideModel({
    ...{ MODEL_BASE_URL: gateway.baseUrl, MODEL_DEFAULT: "cheap", MODEL_FALLBACKS: "dear,unpriced" },
    ...{ MODEL_PRICES: JSON.stringify(PRICES), LIMITS: '{"member": {"calls_per_minute": 100000}}' },
    ...{ DELEGATE_DAILY_USD: String(DAY_USD), DELEGATE_DAILY_TOKENS: String(DAY_TOKENS) },
  });
  let person = 0;
  // Calls that the limits refuse leave replies over: those are no other run's.
  let play: (request: RecordedRequest) => ScriptedReply = () => ({ kind: "spend limit" });
  gateway.script(...Array.from({ length: 10_000 }, () => (request: RecordedRequest) => play(request)));
  const calls = fc.array(fc.tuple(call, reply), { minLength: 1, maxLength: 14 });
  await fc.assert(
    fc.asyncProperty(calls, async (planned) => {
      person += 1;
      const userId = `person-${person}`;
      const settled: Settled[] = [];
      const replies = planned.map(([, played]) => played);
      play = (request) => {
        const played = replies.shift();
        if (played === undefined) throw new Error("More was asked than there were calls.");
        settled.push(settledOf(request, played));
        return played;
      };
      const answers = planned.map(async ([{ path, model, text, maxTokens, stream }]) => {
        const response = await fetch(suite.url + path, {
          method: "POST",
          headers: { "x-test-user": userId },
          body: JSON.stringify({
            ...{ model, stream },
            ...(path === "/v1/responses"
              ? { input: `Hi ${text}` }
              : { messages: [{ role: "user", content: `Hi ${text}` }] }),
            ...(maxTokens === undefined
              ? {}
              : { [path === "/v1/responses" ? "max_output_tokens" : "max_tokens"]: maxTokens }),
          }),
        });
        await response.text();
        expect([200, 400, 429, 502]).toContain(response.status);
      });
      await Promise.all(answers);
      const { left } = await suite.books(planned.length, userId);
      const used = { tokens: DAY_TOKENS - left.tokens, nanoUsd: DAY_USD * 1e9 - left.nanoUsd };
      const counted = sum(settled.map((each) => each.counted));
      expect(used.tokens).toBe(counted.tokens);
      // Each is rounded up to a whole billionth.
      expect(used.nanoUsd).toBeGreaterThanOrEqual(counted.nanoUsd);
      expect(used.nanoUsd).toBeLessThanOrEqual(counted.nanoUsd + settled.length);
      const excess = sum(
        settled.map(({ reserved, counted }) => ({
          tokens: Math.max(0, counted.tokens - reserved.tokens),
          nanoUsd: Math.max(0, counted.nanoUsd - reserved.nanoUsd),
        })),
      );
      expect(used.tokens).toBeLessThanOrEqual(DAY_TOKENS + excess.tokens);
      expect(used.nanoUsd).toBeLessThanOrEqual(DAY_USD * 1e9 + excess.nanoUsd + settled.length);
    }),
    { numRuns: 20 },
  );
});
