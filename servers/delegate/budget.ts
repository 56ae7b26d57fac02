import * as z from "zod";

/** A run's call never asks for a longer answer than this. */
const MAX_ANSWER_TOKENS = 8_192;
/** Below this an answer is not worth paying for. */
const MIN_ANSWER_TOKENS = 256;
export const NANO_USD = 1_000_000_000;
/** A call is never said to cost more: sums of such numbers stay what SQLite takes for an integer. */
const MAX_CALL_NANO_USD = 1_000_000 * NANO_USD;

const DEFAULT_TOKENS = 200_000;
export const MAX_TOKENS = 5_000_000;

/** What a caller gives a run, whichever is used up first. */
export const budgetInput = z.strictObject({
  usd: z.number().positive().max(1_000).optional(),
  tokens: z.int().min(1_000).max(MAX_TOKENS).optional(),
  turns: z.int().min(1).max(200).optional(),
  seconds: z.int().min(1).max(3_600).optional(),
});

export type BudgetInput = Readonly<z.output<typeof budgetInput>>;

/** What a run may use up. */
export const budgetSchema = z.object({
  nanoUsd: z.int().optional(),
  tokens: z.int(),
  turns: z.int(),
  seconds: z.int(),
});

export type Budget = Readonly<z.output<typeof budgetSchema>>;

/** The budget with what was left out filled in. Who gives dollars does not have to count tokens as well. */
export function budgetOf({ usd, tokens, turns = 20, seconds = 600 }: BudgetInput): Budget {
  if (usd === undefined) return { tokens: tokens ?? DEFAULT_TOKENS, turns, seconds };
  return { nanoUsd: Math.floor(usd * NANO_USD), tokens: tokens ?? MAX_TOKENS, turns, seconds };
}

/** What a model asks for its tokens, in billionths of a US dollar a token. */
export interface TokenPrice {
  readonly input: number;
  readonly output: number;
}

/** What may still be used up. Without `nanoUsd` only tokens count. */
export interface Room {
  readonly tokens: number;
  readonly nanoUsd?: number;
}

/** The most that one model call, or a run started by a run, can use: charged before it begins. */
export interface Reservation {
  readonly tokens: number;
  /** What is asked for as the longest answer; part of `tokens`. */
  readonly answerTokens: number;
  /** 0 where the price is not known: then tokens alone keep the budget. */
  readonly nanoUsd: number;
}

/** What the endpoint says that a call used. */
export interface Usage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** Of `inputTokens`, those that the provider had in its prompt cache; 0 where it does not tell. */
  readonly cachedTokens: number;
  /** Of `inputTokens`, those that the provider wrote to its prompt cache for its usual time; absent where it does not tell. */
  readonly writtenTokens?: number;
  /** Those that it wrote there for longer. */
  readonly longWrittenTokens?: number;
  /** Absent where neither the endpoint nor the price table tells it. */
  readonly costUsd?: number;
  /** The cost is the price table's, since the endpoint told none. */
  readonly isCostListed?: true;
}

// Not `int`: that ends where a few calls at the dearest would get.
const spent = z.object({ tokens: z.int(), nanoUsd: z.number() });

/** What a run has used up so far, with what the runs that it started have. */
export const ledgerSchema = z.object({
  /** What counts against the budget: what was reported, and reservations of calls that reported nothing (yet). */
  charged: spent,
  inputTokens: z.int(),
  outputTokens: z.int(),
  cachedTokens: z.int(),
  /** Model calls that were sent. */
  calls: z.int(),
  /** What the answered calls cost together, as far as it is known. */
  costNanoUsd: z.number(),
  /** Whether every answered call's cost is known. */
  isCostKnown: z.boolean(),
  /** What is set aside for runs that it started and has not heard the end of, by run id. */
  children: z.record(z.string(), spent),
});

export type Ledger = Readonly<z.output<typeof ledgerSchema>>;

export const EMPTY_LEDGER: Ledger = {
  charged: { tokens: 0, nanoUsd: 0 },
  inputTokens: 0,
  outputTokens: 0,
  cachedTokens: 0,
  calls: 0,
  costNanoUsd: 0,
  isCostKnown: true,
  children: {},
};

export function roomIn(budget: Budget, { charged }: Ledger): Room {
  return {
    tokens: budget.tokens - charged.tokens,
    ...(budget.nanoUsd === undefined ? {} : { nanoUsd: budget.nanoUsd - charged.nanoUsd }),
  };
}

/**
 * The reservation for a request of that size, or `undefined` where there is no room for it. No tokenizer makes more
 * tokens than a text has UTF-8 bytes, and the JSON around each message outweighs what a chat template adds.
 */
export function plan(
  room: Room,
  requestBytes: number,
  price: TokenPrice | undefined,
  longestAnswer = MAX_ANSWER_TOKENS,
): Reservation | undefined {
  // A day may be overdrawn by what nobody knew the price of.
  if ((room.nanoUsd ?? 0) < 0) return undefined;
  const payable =
    room.nanoUsd === undefined || price === undefined
      ? Infinity
      : Math.floor((room.nanoUsd - requestBytes * price.input) / Math.max(price.output, Number.MIN_VALUE));
  const answerTokens = Math.min(longestAnswer, room.tokens - requestBytes, payable);
  if (!(answerTokens >= Math.min(MIN_ANSWER_TOKENS, longestAnswer))) return undefined;
  const nanoUsd = price === undefined ? 0 : Math.ceil(requestBytes * price.input + answerTokens * price.output);
  return { tokens: requestBytes + answerTokens, answerTokens, nanoUsd };
}

export function charge(ledger: Ledger, reservation: Reservation): Ledger {
  return { ...ledger, charged: add(ledger.charged, reservation), calls: ledger.calls + 1 };
}

/** Takes a charge back: the endpoint refused the call before it did anything. */
export function release(ledger: Ledger, { tokens, nanoUsd }: Reservation): Ledger {
  return { ...ledger, charged: add(ledger.charged, { tokens: -tokens, nanoUsd: -nanoUsd }), calls: ledger.calls - 1 };
}

/** Puts what was reported in the reservation's place; without a report the reservation stands. */
export function settle(ledger: Ledger, reservation: Reservation, usage: Usage | undefined): Ledger {
  if (usage === undefined) return { ...ledger, isCostKnown: false };
  const used = spentBy(usage, reservation);
  const costNanoUsd = usage.costUsd === undefined ? 0 : toNanoUsd(usage.costUsd);
  return {
    ...ledger,
    charged: add(ledger.charged, {
      tokens: used.tokens - reservation.tokens,
      nanoUsd: used.nanoUsd - reservation.nanoUsd,
    }),
    inputTokens: ledger.inputTokens + usage.inputTokens,
    outputTokens: ledger.outputTokens + usage.outputTokens,
    cachedTokens: ledger.cachedTokens + usage.cachedTokens,
    costNanoUsd: ledger.costNanoUsd + costNanoUsd,
    isCostKnown: ledger.isCostKnown && usage.costUsd !== undefined,
  };
}

/** What a call that reported its usage counts for. Where its cost is not known its reserved cost stands. */
export function spentBy(usage: Usage, reservation: Reservation): { tokens: number; nanoUsd: number } {
  return {
    tokens: usage.inputTokens + usage.outputTokens,
    nanoUsd: usage.costUsd === undefined ? reservation.nanoUsd : toNanoUsd(usage.costUsd),
  };
}

/** Whether an endpoint reported more than a call could use: that is counted in full, and the run ends. */
export function isExcess(usage: Usage, reservation: Reservation): boolean {
  const used = spentBy(usage, reservation);
  // A call without a price reserves no money: what it cost then is checked against the budget by the next call.
  return used.tokens > reservation.tokens || (reservation.nanoUsd > 0 && used.nanoUsd > reservation.nanoUsd);
}

/** What a run that this one starts may use: what it asks for, within what is left; half of that where it asks for nothing. */
export function childBudget(budget: Budget, ledger: Ledger, asked: BudgetInput, leftSeconds: number): Budget {
  const room = roomIn(budget, ledger);
  const filled = budgetOf(asked);
  const tokens = Math.min(asked.tokens ?? Math.floor(room.tokens / 2), room.tokens);
  const seconds = Math.min(filled.seconds, leftSeconds);
  if (room.nanoUsd === undefined) return { ...filled, tokens, seconds };
  const nanoUsd = Math.min(filled.nanoUsd ?? Math.floor(room.nanoUsd / 2), room.nanoUsd);
  return { ...filled, tokens, seconds, nanoUsd };
}

/** Sets a started run's whole budget aside. */
export function chargeChild(ledger: Ledger, childId: string, { tokens, nanoUsd = 0 }: Budget): Ledger {
  const set = { tokens, nanoUsd };
  return {
    ...ledger,
    charged: add(ledger.charged, set),
    children: { ...ledger.children, [childId]: set },
  };
}

/** Puts what a started run has really used in its budget's place, once. */
export function settleChild(ledger: Ledger, childId: string, child: Ledger): Ledger {
  const { [childId]: set, ...children } = ledger.children;
  if (set === undefined) return ledger;
  return {
    charged: add(ledger.charged, {
      tokens: child.charged.tokens - set.tokens,
      nanoUsd: child.charged.nanoUsd - set.nanoUsd,
    }),
    inputTokens: ledger.inputTokens + child.inputTokens,
    outputTokens: ledger.outputTokens + child.outputTokens,
    cachedTokens: ledger.cachedTokens + child.cachedTokens,
    calls: ledger.calls + child.calls,
    costNanoUsd: ledger.costNanoUsd + child.costNanoUsd,
    isCostKnown: ledger.isCostKnown && child.isCostKnown,
    children,
  };
}

type Spent = Readonly<z.output<typeof spent>>;

function add(a: Spent, b: Spent): z.output<typeof spent> {
  return { tokens: a.tokens + b.tokens, nanoUsd: a.nanoUsd + b.nanoUsd };
}

/** Rounded up: a fraction of a billionth is never lost to the one who pays. */
function toNanoUsd(usd: number): number {
  return Math.min(Math.ceil(usd * NANO_USD), MAX_CALL_NANO_USD);
}
