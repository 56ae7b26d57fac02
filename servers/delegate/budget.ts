import * as z from "zod";

/** One call never asks for a longer answer than this. */
const MAX_ANSWER_TOKENS = 8_192;
/** Below this an answer is not worth paying for. */
const MIN_ANSWER_TOKENS = 256;

/** What a run may use up, whichever ends first. */
export const budgetInput = z.strictObject({
  tokens: z.int().min(1_000).max(2_000_000).default(200_000),
  steps: z.int().min(1).max(100).default(20).describe("Model calls"),
  seconds: z.int().min(1).max(3_600).default(600),
  usd: z.number().positive().max(1_000).optional().describe("Needs an endpoint that reports cost"),
});

export type Budget = Readonly<z.output<typeof budgetInput>>;

/** What a run has used up so far. */
export const ledgerSchema = z.object({
  /** What counts against the budget: what was reported, and reservations of calls that reported nothing (yet). */
  chargedTokens: z.int(),
  inputTokens: z.int(),
  outputTokens: z.int(),
  /** Absent until the endpoint reports a cost. */
  costUsd: z.number().optional(),
});

export type Ledger = Readonly<z.output<typeof ledgerSchema>>;

export const EMPTY_LEDGER: Ledger = { chargedTokens: 0, inputTokens: 0, outputTokens: 0 };

/** The most that one model call can use, charged before it is sent. */
export interface Reservation {
  readonly tokens: number;
  readonly answerTokens: number;
}

/** What the endpoint says that a call used. */
export interface Usage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly costUsd?: number;
}

/**
 * The reservation for a request of that size, or `undefined` where the budget does not cover it. No tokenizer makes
 * more tokens than a text has UTF-8 bytes, and the JSON around each message outweighs what a chat template adds.
 */
export function plan(budget: Budget, ledger: Ledger, requestBytes: number): Reservation | undefined {
  const answerTokens = Math.min(MAX_ANSWER_TOKENS, budget.tokens - ledger.chargedTokens - requestBytes);
  if (answerTokens < MIN_ANSWER_TOKENS) return undefined;
  return { tokens: requestBytes + answerTokens, answerTokens };
}

export function charge(ledger: Ledger, { tokens }: Reservation): Ledger {
  return { ...ledger, chargedTokens: ledger.chargedTokens + tokens };
}

/** Takes a charge back: the endpoint refused the call before it did anything. */
export function release(ledger: Ledger, { tokens }: Reservation): Ledger {
  return { ...ledger, chargedTokens: ledger.chargedTokens - tokens };
}

/** What the budget was charged for calls whose use nobody reported. */
export function unreportedTokens(ledger: Ledger): number {
  return ledger.chargedTokens - ledger.inputTokens - ledger.outputTokens;
}

/** Puts what was reported in the reservation's place; without a report the reservation stands. */
export function settle(ledger: Ledger, reservation: Reservation, usage: Usage | undefined): Ledger {
  if (usage === undefined) return ledger;
  const costUsd = usage.costUsd === undefined ? ledger.costUsd : (ledger.costUsd ?? 0) + usage.costUsd;
  return {
    ...ledger,
    chargedTokens: ledger.chargedTokens - reservation.tokens + usage.inputTokens + usage.outputTokens,
    inputTokens: ledger.inputTokens + usage.inputTokens,
    outputTokens: ledger.outputTokens + usage.outputTokens,
    ...(costUsd === undefined ? {} : { costUsd }),
  };
}

/** Why a run must end after a call was settled, if it must. */
export function overrun(
  budget: Budget,
  ledger: Ledger,
  reservation: Reservation,
  usage: Usage | undefined,
): string | undefined {
  if (usage !== undefined && usage.inputTokens + usage.outputTokens > reservation.tokens) {
    return "The endpoint reported more tokens than one call could use, so the run was ended; check the model's settings.";
  }
  if (budget.usd === undefined) return undefined;
  if (usage?.costUsd === undefined) {
    return "The endpoint reports no cost, so budget.usd cannot be kept; give budget.tokens alone.";
  }
  return (ledger.costUsd ?? 0) >= budget.usd ? "budget.usd is used up; give a larger one to go further." : undefined;
}
