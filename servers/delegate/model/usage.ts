import * as z from "zod";
import type { Usage } from "../budget.ts";

const count = z.int().min(0).max(1_000_000_000);
const reportedUsage = z.object({
  prompt_tokens: count,
  completion_tokens: count,
  total_tokens: count.nullish().catch(undefined),
  prompt_tokens_details: z
    .object({ cached_tokens: count.nullish().catch(undefined), cache_write_tokens: count.nullish().catch(undefined) })
    .nullish()
    .catch(undefined),
  cost: z.number().min(0).max(1_000_000).nullish().catch(undefined),
});

/** The usage that the endpoint reported, or `undefined` where it is missing or makes no sense. */
export function readUsage(raw: unknown): Usage | undefined {
  const parsed = reportedUsage.safeParse(raw);
  if (!parsed.success) return undefined;
  const { prompt_tokens, completion_tokens, total_tokens, prompt_tokens_details, cost } = parsed.data;
  const written = prompt_tokens_details?.cache_write_tokens;
  return {
    inputTokens: prompt_tokens,
    cachedTokens: Math.min(prompt_tokens, prompt_tokens_details?.cached_tokens ?? 0),
    ...(typeof written === "number" ? { writtenTokens: written } : {}),
    // Some count the tokens that a model thinks in only in the total.
    outputTokens: Math.max(completion_tokens, (total_tokens ?? 0) - prompt_tokens),
    ...(typeof cost === "number" ? { costUsd: cost } : {}),
  };
}
