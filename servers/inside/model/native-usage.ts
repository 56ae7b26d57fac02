import * as z from "zod";
import type { Usage } from "../../delegate/budget.ts";
import { present } from "./ask-schema.ts";

const count = z.int().min(0).max(1_000_000_000);
const counts = z.object({
  input_tokens: count,
  output_tokens: count,
  cache_read_input_tokens: count.default(0),
  cache_creation_input_tokens: count.default(0),
  cache_creation: z.object({ ephemeral_1h_input_tokens: count }).optional().catch(undefined),
});

/** Of what an event tells, what is counted. */
export function toldCounts(told: Readonly<Record<string, unknown>> | null | undefined): Record<string, unknown> {
  return present(Object.fromEntries(Object.keys(counts.shape).map((field) => [field, told?.[field]])));
}

/**
 * What Anthropic says that an answer used, or `undefined` where that is missing or makes no sense. It counts what was read
 * from and written to its cache beside the rest. Where it does not tell for how long that is kept, it is for as long as
 * was asked.
 */
export function readNativeUsage(raw: unknown, keepsLong: boolean): Usage | undefined {
  const told = counts.safeParse(raw).data;
  if (told === undefined) return undefined;
  const { input_tokens: rest, cache_read_input_tokens: read, cache_creation_input_tokens: written } = told;
  const long = told.cache_creation?.ephemeral_1h_input_tokens ?? (keepsLong ? written : 0);
  return {
    inputTokens: rest + read + written,
    cachedTokens: read,
    writtenTokens: Math.max(0, written - long),
    longWrittenTokens: long,
    outputTokens: told.output_tokens,
  };
}
