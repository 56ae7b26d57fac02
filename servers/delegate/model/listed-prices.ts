import type { ModelPrice, TokenRates } from "./model-prices.ts";

/** USD per million tokens: input, input that the provider had in its prompt cache, output. */
type Rates = readonly [input: number, cachedInput: number | undefined, output: number];

function rates([input, cachedInput, output]: Rates): TokenRates {
  return {
    inputUsdPerMillion: input,
    ...(cachedInput === undefined ? {} : { cachedInputUsdPerMillion: cachedInput }),
    outputUsdPerMillion: output,
  };
}

function listed(source: string, perMillion: Rates, readOn = "2026-11-27"): ModelPrice {
  return { ...rates(perMillion), source, readOn };
}

/** What OpenAI's models write to their prompt cache costs a quarter more; `cache_write_tokens` tells how much that was. */
const OPENAI_CACHE_WRITE = { usual: 1.25, long: 1.25, isUnasked: true } as const;

/** From 272,001 tokens of input on, input costs twice as much, output half as much again. */
function openAi(model: string, page: string, [input, cachedInput, output]: Rates): [string, ModelPrice] {
  const twice = cachedInput === undefined ? undefined : cachedInput * 2;
  return [
    `openai/${model}`,
    {
      ...listed(page, [input, cachedInput, output]),
      cacheWrite: OPENAI_CACHE_WRITE,
      longPrompt: { ...rates([input * 2, twice, output * 1.5]), fromTokens: 272_001 },
    },
  ];
}

const OPENAI_MODELS = "https://developers.openai.com/api/docs/models";
const CLAUDE_MODELS = "https://platform.claude.com/docs/en/models";
const CLAUDE_PRICING = "https://platform.claude.com/docs/en/about-claude/pricing";
/** Quoted from ai.google.dev/gemini-api/docs/pricing. */
const GEMINI_QUOTED = "https://github.com/api-evangelist/deepmind/blob/main/plans/deepmind-plans-pricing.yml";
const GEMINI_LISTED = "https://www.morphllm.com/gemini-api-pricing";
/** What the pages of the models show. */
const WORKERS_AI_MODELS = "https://github.com/cloudflare/cloudflare-docs/tree/production/src/content/workers-ai-models";
const WORKERS_AI_PRICING = "https://developers.cloudflare.com/workers-ai/platform/pricing/";

/** By canonical name, each from a page that was read. A model is left out rather than guessed. */
export const LISTED_PRICES: ReadonlyMap<string, ModelPrice> = new Map<string, ModelPrice>([
  openAi("gpt-6.2-astra", "https://vercel.com/ai-gateway/models/gpt-6.2-astra.md", [8, undefined, 40]),
  openAi("gpt-6.2-sol", `${OPENAI_MODELS}/gpt-6.2-sol`, [2, 0.1, 10]),
  openAi("gpt-6.1-sol", "https://docs.apiyi.com/en/news/gpt-6-1-sol-launch.md", [2, 0.1, 10]),
  openAi("gpt-6-astra", "https://vercel.com/ai-gateway/models/gpt-6-astra.md", [10, undefined, 50]),
  openAi("gpt-6-sol", `${OPENAI_MODELS}/gpt-6-sol`, [2, 0.2, 10]),
  openAi("gpt-6-luna", `${OPENAI_MODELS}/gpt-6-luna`, [0.1, 0.01, 0.5]),
  openAi("gpt-5.6-sol", "https://vercel.com/ai-gateway/models/openai/gpt-5.6-sol.md", [4, undefined, 20]),
  openAi("gpt-5.6-terra", `${OPENAI_MODELS}/gpt-5.6-terra`, [2, 0.2, 12]),
  openAi("gpt-5.6-luna", `${OPENAI_MODELS}/gpt-5.6-luna`, [0.2, 0.02, 1.2]),
  openAi("gpt-5.4-mini", "https://vercel.com/ai-gateway/models/openai/gpt-5.4-mini.md", [0.75, undefined, 4.5]),
  openAi("gpt-5.4-nano", "https://vercel.com/ai-gateway/models/openai/gpt-5.4-nano.md", [0.2, undefined, 1.25]),

  ["anthropic/claude-fable-5.1", listed(CLAUDE_PRICING, [10, 0.25, 50])],
  ["anthropic/claude-fable-5", listed(CLAUDE_PRICING, [10, 1, 50])],
  ["anthropic/claude-opus-5.5", listed(`${CLAUDE_MODELS}/opus-5-5/overview`, [4, 0.2, 20])],
  ["anthropic/claude-opus-5", listed(CLAUDE_PRICING, [5, 0.5, 25])],
  ["anthropic/claude-opus-4.8", listed(CLAUDE_PRICING, [5, 0.5, 25])],
  ["anthropic/claude-opus-4.7", listed(CLAUDE_PRICING, [5, 0.5, 25])],
  ["anthropic/claude-opus-4.6", listed(CLAUDE_PRICING, [5, 0.5, 25])],
  ["anthropic/claude-opus-4.5", listed(CLAUDE_PRICING, [5, 0.5, 25])],
  ["anthropic/claude-sonnet-5.5", listed(`${CLAUDE_MODELS}/sonnet-5-5/overview`, [2, 0.2, 10])],
  ["anthropic/claude-sonnet-5", listed(`${CLAUDE_MODELS}/sonnet-5/overview`, [2, 0.2, 10])],
  ["anthropic/claude-sonnet-4.6", listed(CLAUDE_PRICING, [3, 0.3, 15])],
  ["anthropic/claude-sonnet-4.5", listed(CLAUDE_PRICING, [3, 0.3, 15])],
  [
    "anthropic/claude-haiku-5.5",
    {
      ...listed("https://apidog.com/blog/how-to-use-claude-haiku-5-5-api/", [0.1, 0.01, 0.5]),
      longPrompt: { ...rates([0.5, 0.05, 2.5]), fromTokens: 100_001 },
    },
  ],
  ["anthropic/claude-haiku-4.5", listed(CLAUDE_PRICING, [1, 0.1, 5])],

  // Half of it until the end of 2026.
  ["google/gemini-3.8-flash", listed(GEMINI_QUOTED, [1.5, undefined, 7.5], "2026-10-07")],
  ["google/gemini-3.5-flash", listed(GEMINI_QUOTED, [1.5, undefined, 9], "2026-10-07")],
  ["google/gemini-3.5-flash-lite", listed(GEMINI_QUOTED, [0.3, undefined, 2.5], "2026-10-07")],
  [
    "google/gemini-3.1-pro-preview",
    {
      ...listed(GEMINI_QUOTED, [2, undefined, 12], "2026-10-07"),
      longPrompt: { ...rates([4, undefined, 18]), fromTokens: 200_001 },
    },
  ],
  ["google/gemini-2.5-flash", listed(GEMINI_LISTED, [0.3, undefined, 2.5])],
  ["google/gemini-2.5-flash-lite", listed(GEMINI_LISTED, [0.1, undefined, 0.4])],

  [
    "xai/grok-4.7",
    {
      ...listed("https://apidog.com/blog/how-to-use-grok-4-7-api/", [2, 0.5, 6]),
      longPrompt: { ...rates([4, 1, 12]), fromTokens: 200_000 },
    },
  ],
  [
    "xai/grok-4.20",
    {
      ...listed("https://docs.x.ai/developers/models/grok-4.20-0309.md", [1.25, 0.2, 2.5]),
      longPrompt: { ...rates([2.5, 0.4, 5]), fromTokens: 200_000 },
    },
  ],

  ["@cf/zai-org/glm-5.3", listed(WORKERS_AI_MODELS, [1.4, 0.26, 4.4])],
  ["@cf/zai-org/glm-5.3-flash", listed(WORKERS_AI_MODELS, [0.15, 0.03, 0.5])],
  ["@cf/moonshotai/kimi-k2.7-code", listed(WORKERS_AI_MODELS, [0.95, 0.19, 4])],
  ["@cf/deepseek-ai/deepseek-v4-flash-0731", listed(WORKERS_AI_MODELS, [0.44, 0.014, 1.32])],
  ["@cf/openai/gpt-oss-120b", listed(WORKERS_AI_MODELS, [0.35, undefined, 0.75])],
  ["@cf/openai/gpt-oss-20b", listed(WORKERS_AI_MODELS, [0.2, undefined, 0.3])],
  ["@cf/meta/llama-3.3-70b-instruct-fp8-fast", listed(WORKERS_AI_PRICING, [0.293, undefined, 2.253])],
  ["@cf/meta/llama-3.1-8b-instruct-fp8-fast", listed(WORKERS_AI_PRICING, [0.045, undefined, 0.384])],
  ["@cf/meta/llama-3.2-3b-instruct", listed(WORKERS_AI_PRICING, [0.051, undefined, 0.335])],
]);
