import type { Settings } from "../../shared/settings.ts";
import { NANO_USD, type TokenPrice, type Usage } from "../budget.ts";
import { LISTED_PRICES } from "./listed-prices.ts";

/** One US dollar for a million tokens is so many billionths a token. */
const NANO_USD_PER_TOKEN = NANO_USD / 1_000_000;

/** What tokens cost, in USD per million. */
export interface TokenRates {
  readonly inputUsdPerMillion: number;
  /** For input that the provider had in its prompt cache; as the rest where absent. */
  readonly cachedInputUsdPerMillion?: number;
  readonly outputUsdPerMillion: number;
}

/** What a token costs that the provider writes to its prompt cache, in tokens of other input. */
export interface CacheWritePrice {
  readonly usual: number;
  /** Where it is kept for longer. */
  readonly long: number;
  /** It is done unasked: of an answer that does not tell how much it was, all that was not cached counts as written. */
  readonly isUnasked?: true;
}

export interface ModelPrice extends TokenRates {
  /** What every token of a request costs whose input is at least so long. */
  readonly longPrompt?: TokenRates & { readonly fromTokens: number };
  /** Absent where to write to the provider's prompt cache costs nothing of its own. */
  readonly cacheWrite?: CacheWritePrice;
  /** The page that says so, or the setting. */
  readonly source: string;
  /** The day on which the page was read. */
  readonly readOn?: string;
}

/**
 * The listed price of a model by its name at AI Gateway (`openai/gpt-6-sol`, `workers-ai/@cf/openai/gpt-oss-20b`) or
 * by the name that a provider answers with. What routes to other models (`dynamic/…`, `cloudflare/auto`) has none.
 */
export function priceOf(model: string): ModelPrice | undefined {
  return LISTED_PRICES.get(canonicalName(model));
}

/**
 * The price that MODEL_PRICES gives a model, under whichever of its names; one that is given without a provider holds for
 * the model of any.
 */
export function priceOfOwn(own: Settings["MODEL_PRICES"], model: string): ModelPrice | undefined {
  const name = canonicalName(model);
  const bare = model.slice(model.indexOf("/") + 1);
  const priceFor = (isName: (key: string) => boolean) => Object.entries(own).find(([key]) => isName(key))?.[1];
  const given =
    priceFor((key) => key === model) ??
    priceFor((key) => canonicalName(key) === name) ??
    priceFor((key) => key === bare);
  if (given === undefined) return undefined;
  return {
    inputUsdPerMillion: given.input,
    ...(given.cached_input === undefined ? {} : { cachedInputUsdPerMillion: given.cached_input }),
    outputUsdPerMillion: given.output,
    source: "MODEL_PRICES",
  };
}

/** The rates that a request of at most so many input tokens pays, were all of it written to the provider's prompt cache. */
export function reservedRates(price: ModelPrice | undefined, maxInputTokens: number): TokenPrice | undefined {
  if (price === undefined) return undefined;
  const { inputUsdPerMillion, outputUsdPerMillion } = ratesFor(price, maxInputTokens);
  const { usual = 1, long = 1 } = price.cacheWrite ?? {};
  return {
    input: inputUsdPerMillion * Math.max(1, usual, long) * NANO_USD_PER_TOKEN,
    output: outputUsdPerMillion * NANO_USD_PER_TOKEN,
  };
}

/** What so many tokens cost. `inputTokens` contain those that were cached and written. More tokens never cost less. */
export function costUsd(price: ModelPrice, used: PricedUsage): number {
  const cachedTokens = Math.min(used.cachedTokens, used.inputTokens);
  const {
    inputUsdPerMillion: input,
    cachedInputUsdPerMillion: cached = input,
    outputUsdPerMillion: output,
  } = ratesFor(price, used.inputTokens);
  const uncached = used.inputTokens - cachedTokens;
  const counted = uncached + writeSurcharge(price, used, uncached);
  return (counted * input + cachedTokens * cached + used.outputTokens * output) / 1_000_000;
}

type PricedUsage = Pick<Usage, "inputTokens" | "cachedTokens" | "writtenTokens" | "longWrittenTokens" | "outputTokens">;

/** How many tokens of input more it counts as that some were written to the provider's prompt cache. */
function writeSurcharge({ cacheWrite }: ModelPrice, used: PricedUsage, uncached: number): number {
  if (cacheWrite === undefined) return 0;
  const long = Math.min(used.longWrittenTokens ?? 0, uncached);
  const untold = cacheWrite.isUnasked === true ? uncached : 0;
  const usual = Math.min(used.writtenTokens ?? untold, uncached - long);
  return usual * (cacheWrite.usual - 1) + long * (cacheWrite.long - 1);
}

/** A whole request pays by the length of its input. */
function ratesFor(price: ModelPrice, inputTokens: number): TokenRates {
  const { longPrompt } = price;
  return longPrompt !== undefined && inputTokens >= longPrompt.fromTokens ? longPrompt : price;
}

const PROVIDER_ALIASES = new Map([
  ["google-ai-studio", "google"],
  ["grok", "xai"],
]);

const FAMILIES = [
  [/^gpt-/, "openai"],
  [/^claude-/, "anthropic"],
  [/^gemini-/, "google"],
  [/^grok-/, "xai"],
] as const;

/** One name for each model: `provider/model` without a date, `claude-opus-4.8`, `@cf/author/model`. */
function canonicalName(model: string): string {
  const name = model.replace(/^workers-ai\/(?=@cf\/)/, "");
  if (name.startsWith("@")) return name;
  const [provider = "", ...rest] = name.includes("/") ? name.split("/") : [familyOf(name), name];
  const bare = rest
    .join("/")
    .replace(/^models\//, "")
    .replace(/-(\d{4}-\d{2}-\d{2}|\d{8})$/, "");
  const version = provider === "anthropic" ? bare.replace(/(\d)-(?=\d)/, "$1.") : bare;
  const author = PROVIDER_ALIASES.get(provider) ?? provider;
  return version.startsWith(`${author}/`) ? version : `${author}/${version}`;
}

/** Whose a model is by its bare name; empty where that does not tell. */
export function familyOf(name: string): string {
  return FAMILIES.find(([pattern]) => pattern.test(name))?.[1] ?? "";
}
