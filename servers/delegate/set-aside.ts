import type { ModelCall } from "../account/book-table.ts";
import type { SettledModelCall } from "../account/model-spend.ts";
import { describeFailure } from "../core/log.ts";
import { ToolError } from "../shared/errors.ts";
import { NANO_USD, type Reservation, type Room, type Usage, charge, plan, roomIn } from "./budget.ts";
import { reservedRates } from "./model/model-prices.ts";
import type { StepContext } from "./step-context.ts";
import type { RunRecord } from "./transcript.ts";

/** What a call has set aside: in its run's budget, and in its person's day. */
export interface SetAside extends Reservation {
  readonly callId: string;
}

/**
 * Sets the most that a model call can use aside before it is sent, from the run's budget and from its person's day.
 * Where the day has less room than the budget a shorter answer is asked for. Throws `limit_reached` where there is no
 * room for an answer worth having.
 */
export async function setAside(context: StepContext, run: RunRecord, requestBytes: number): Promise<SetAside> {
  const { transcript, host, settings, endpoint } = context;
  const model = run.models[run.modelIndex] ?? "";
  const price = reservedRates(endpoint.priceOf(model), requestBytes);
  // The gateway may try again by itself, and each try may cost.
  const { attempts } = endpoint;
  const room = scaled(roomIn(run.budget, run.ledger), 1 / attempts);
  if (room.nanoUsd !== undefined && price === undefined) {
    throw new ToolError(
      "limit_reached",
      `What ${model} costs is not known, so budget.usd cannot be kept; give budget.tokens.`,
    );
  }
  const limit = {
    tokens: settings.DELEGATE_DAILY_TOKENS,
    nanoUsd: Math.floor(settings.DELEGATE_DAILY_USD * NANO_USD),
  };
  const callId = `${run.runId}/${run.version}`;
  const planned = (within: Room): Reservation | undefined => {
    const once = plan(within, requestBytes, price);
    return once && { ...once, tokens: once.tokens * attempts, nanoUsd: once.nanoUsd * attempts };
  };
  let reservation = planned(room);
  if (reservation === undefined) throw noRoom(run, room, requestBytes);
  let day = await host.account.reserveModelCall(callId, reservation, limit, run.unsettled);
  if (!day.isAdmitted) {
    reservation = planned(narrower(room, scaled(day.left, 1 / attempts)));
    if (reservation !== undefined) day = await host.account.reserveModelCall(callId, reservation, limit);
  }
  if (reservation === undefined || !day.isAdmitted) {
    const mayFit = planned(narrower(room, scaled(day.leftAtBest, 1 / attempts))) !== undefined;
    throw mayFit ? DAY_TAKEN : DAY_USED_UP;
  }
  const aside = { ...reservation, callId };
  if (transcript.read().status !== "running") {
    context.inBackground(settleDay(context, aside, NOTHING_USED));
    throw new ToolError("cancelled", "The run ended before the call was sent.");
  }
  const activity = `turn ${run.turns + 1}: ${model} is thinking`;
  const ledger = charge(transcript.read().ledger, reservation);
  transcript.update({ inFlight: "model", activity, ledger, reserved: aside, unsettled: undefined });
  return aside;
}

/** Most runs ask again before that, and tell what a call came to as they do. */
const SETTLE_AFTER_MS = 250;

/** Has the account told of a call before long. What is told twice is counted once. */
export function settleSoon(context: StepContext, callId: string): void {
  setTimeout(() => {
    const unsettled = context.transcript.find()?.unsettled;
    if (unsettled?.callId === callId) context.inBackground(settleDay(context, unsettled, unsettled));
  }, SETTLE_AFTER_MS);
}

/** What answers says its own name. */
const MAX_MODEL_CHARS = 128;

/** Tells the person's account what a call has really used. A day that cannot be told keeps the reservation. */
export async function settleDay(
  { host, log }: Pick<StepContext, "host" | "log">,
  { callId }: Pick<SetAside, "callId">,
  used: SettledModelCall,
): Promise<void> {
  try {
    await host.account.settleModelCall(callId, used);
  } catch (failure) {
    log.error("model call not settled", { call: callId, failure: describeFailure(failure) });
  }
}

/** A call as the books have it: of the model that answered, or else of the one that was asked. */
export function modelCallOf(run: RunRecord, usage: Usage | undefined, servedBy?: string): ModelCall {
  return {
    model: (servedBy ?? run.models[run.modelIndex] ?? "").slice(0, MAX_MODEL_CHARS),
    clientId: run.caller.clientId,
    inputTokens: usage?.inputTokens ?? 0,
    outputTokens: usage?.outputTokens ?? 0,
    isMeasured: usage?.costUsd !== undefined && usage.isCostListed === undefined,
  };
}

/** What a call of which nobody knows how far it came counts for: all that was set aside. */
export function unreported(run: RunRecord, { tokens, nanoUsd }: SetAside): SettledModelCall {
  return { tokens, nanoUsd, of: modelCallOf(run, undefined) };
}

export const NOTHING_USED = { tokens: 0, nanoUsd: 0 };

/** Other runs' calls hold what is left of the day: once they have ended there may be room. */
export const DAY_TAKEN = new ToolError("limit_reached", "Other runs hold what is left of the day; wait for them.");

const DAY_USED_UP = new ToolError(
  "limit_reached",
  "What you may spend on models in a day is used up (DELEGATE_DAILY_USD, DELEGATE_DAILY_TOKENS); go on tomorrow, or have it raised.",
);

function scaled({ tokens, nanoUsd }: Room, factor: number): Room {
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

function noRoom(run: RunRecord, room: Room, requestBytes: number): ToolError {
  const money = room.nanoUsd === undefined ? "" : ` and $${(room.nanoUsd / NANO_USD).toFixed(4)} of budget.usd`;
  return new ToolError(
    "limit_reached",
    `The next model call could take ${requestBytes} tokens for its input, and ${room.tokens} are left of budget.tokens${money}; give more.`,
  );
}
