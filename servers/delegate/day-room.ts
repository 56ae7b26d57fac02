import type { ModelCall } from "../account/book-table.ts";
import type { SettledModelCall, ToldModelCall } from "../account/model-spend.ts";
import { type Log, describeFailure } from "../core/log.ts";
import { ToolError } from "../shared/errors.ts";
import type { Settings } from "../shared/settings.ts";
import { NANO_USD, type Reservation, type Room, type Usage, plan } from "./budget.ts";
import type { RunAccount } from "./host.ts";
import type { ModelEndpoint } from "./model/endpoint.ts";
import { reservedRates } from "./model/model-prices.ts";

/** What a call has set aside in its person's day, and in its run's budget where it has a run. */
export interface SetAside extends Reservation {
  readonly callId: string;
}

/** Whose day it is, and where the call goes. */
export interface DayBooks {
  readonly account: Pick<RunAccount, "reserveModelCall">;
  readonly settings: Pick<Settings, "DELEGATE_DAILY_TOKENS" | "DELEGATE_DAILY_USD">;
  readonly endpoint: ModelEndpoint;
}

/** A call before it is sent. */
export interface PlannedCall {
  readonly callId: string;
  readonly model: string;
  /** No request of that size has more tokens for its input. */
  readonly requestBytes: number;
  /** What it may use beside what its person's day allows. */
  readonly room: Room;
  readonly longestAnswer?: number;
  /** What the call before came to, which the account is told along with this one. */
  readonly last?: ToldModelCall | undefined;
}

/**
 * Sets the most that a call can use aside from its person's day. Where the day has less room than `room` a shorter
 * answer is asked for. `undefined` where `room` itself has none; throws `limit_reached` where the day has none for an
 * answer worth having.
 */
export async function reserveOfDay(
  { account, settings, endpoint: { priceOf, attempts } }: DayBooks,
  { callId, model, requestBytes, room, longestAnswer, last }: PlannedCall,
): Promise<SetAside | undefined> {
  const price = reservedRates(priceOf(model), requestBytes);
  // The gateway may try again by itself, and each try may cost.
  const planned = (within: Room): Reservation | undefined => {
    const once = plan(scaled(within, 1 / attempts), requestBytes, price, longestAnswer);
    return once && { ...once, tokens: once.tokens * attempts, nanoUsd: once.nanoUsd * attempts };
  };
  const limit = {
    tokens: settings.DELEGATE_DAILY_TOKENS,
    nanoUsd: Math.floor(settings.DELEGATE_DAILY_USD * NANO_USD),
  };
  let reservation = planned(room);
  if (reservation === undefined) return undefined;
  let day = await account.reserveModelCall(callId, reservation, limit, last);
  if (!day.isAdmitted) {
    reservation = planned(narrower(room, day.left));
    if (reservation !== undefined) day = await account.reserveModelCall(callId, reservation, limit);
  }
  if (reservation === undefined || !day.isAdmitted) {
    throw planned(narrower(room, day.leftAtBest)) === undefined ? DAY_USED_UP : DAY_TAKEN;
  }
  return { ...reservation, callId };
}

/** Who is told what a call came to. */
export interface SettledBooks {
  readonly account: Pick<RunAccount, "settleModelCall">;
  readonly log: Log;
}

/** Tells the person's account what a call has really used. A day that cannot be told keeps the reservation. */
export async function settleDay({ account, log }: SettledBooks, callId: string, used: SettledModelCall): Promise<void> {
  try {
    await account.settleModelCall(callId, used);
  } catch (failure) {
    log.error("model call not settled", { call: callId, failure: describeFailure(failure) });
  }
}

export const NOTHING_USED: SettledModelCall = { tokens: 0, nanoUsd: 0 };

/** What a call of which nobody knows how far it came counts for: all that was set aside. */
export function unreported(asked: AskedModel, { tokens, nanoUsd }: SetAside): SettledModelCall {
  return { tokens, nanoUsd, of: modelCallOf(asked, undefined) };
}

/** The model that is asked, and for whom. */
export type AskedModel = Pick<ModelCall, "model" | "clientId">;

/** What answers says its own name. */
const MAX_MODEL_CHARS = 128;

/** A call as the books have it: of the model that answered, or else of the one that was asked. */
export function modelCallOf(asked: AskedModel, usage: Usage | undefined, servedBy = asked.model): ModelCall {
  return {
    model: servedBy.slice(0, MAX_MODEL_CHARS),
    clientId: asked.clientId,
    inputTokens: usage?.inputTokens ?? 0,
    outputTokens: usage?.outputTokens ?? 0,
    isMeasured: usage?.costUsd !== undefined && usage.isCostListed === undefined,
  };
}

/** Other calls hold what is left of the day: once they have ended there may be room. */
export const DAY_TAKEN = new ToolError("limit_reached", "Other calls hold what is left of the day; wait for them.");

export const DAY_USED_UP = new ToolError(
  "limit_reached",
  "What you may spend on models in a day is used up (DELEGATE_DAILY_USD, DELEGATE_DAILY_TOKENS); go on tomorrow, or have it raised.",
);

/** A share of what there is room for. */
export function scaled({ tokens, nanoUsd }: Room, factor: number): Room {
  return {
    tokens: Math.floor(tokens * factor),
    ...(nanoUsd === undefined ? {} : { nanoUsd: Math.floor(nanoUsd * factor) }),
  };
}

function narrower(room: Room, left: Room): Room {
  return {
    tokens: Math.min(room.tokens, left.tokens),
    nanoUsd: Math.min(room.nanoUsd ?? Infinity, left.nanoUsd ?? Infinity),
  };
}
