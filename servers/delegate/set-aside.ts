import type { SettledModelCall } from "../account/model-spend.ts";
import { type Log, describeFailure } from "../core/log.ts";
import { ToolError } from "../shared/errors.ts";
import { NANO_USD, type Room, charge, roomIn } from "./budget.ts";
import { type SetAside, modelCallOf, reserveOfDay, scaled } from "./day-room.ts";
import type { RunAccount } from "./host.ts";
import type { StepContext } from "./step-context.ts";
import type { RunRecord } from "./transcript.ts";

/**
 * Sets the most that a model call can use aside before it is sent, from the run's budget and from its person's day.
 * Where the day has less room than the budget a shorter answer is asked for. Throws `limit_reached` where there is no
 * room for an answer worth having.
 */
export async function setAside(context: StepContext, run: RunRecord, requestBytes: number): Promise<SetAside> {
  const { transcript, host, settings, endpoint } = context;
  const model = run.models[run.modelIndex] ?? "";
  const room = roomIn(run.budget, run.ledger);
  if (room.nanoUsd !== undefined && endpoint.priceOf(model) === undefined) {
    throw new ToolError(
      "limit_reached",
      `What ${model} costs is not known, so budget.usd cannot be kept; give budget.tokens.`,
    );
  }
  const callId = `${run.runId}/${run.version}`;
  const aside = await reserveOfDay(
    { account: host.account, settings, endpoint },
    { callId, model, requestBytes, room, last: run.unsettled },
  );
  if (aside === undefined) throw noRoom(run, scaled(room, 1 / endpoint.attempts), requestBytes);
  if (transcript.read().status !== "running") {
    context.inBackground(settleDay(context, aside, NOTHING_USED));
    throw new ToolError("cancelled", "The run ended before the call was sent.");
  }
  const activity = `turn ${run.turns + 1}: ${model} is thinking`;
  const ledger = charge(transcript.read().ledger, aside);
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

/** Tells the person's account what a call has really used. A day that cannot be told keeps the reservation. */
export async function settleDay(
  { host, log }: { readonly host: { readonly account: Pick<RunAccount, "settleModelCall"> }; readonly log: Log },
  { callId }: Pick<SetAside, "callId">,
  used: SettledModelCall,
): Promise<void> {
  try {
    await host.account.settleModelCall(callId, used);
  } catch (failure) {
    log.error("model call not settled", { call: callId, failure: describeFailure(failure) });
  }
}

/** What a call of which nobody knows how far it came counts for: all that was set aside. */
export function unreported(run: RunRecord, { tokens, nanoUsd }: SetAside): SettledModelCall {
  return { tokens, nanoUsd, of: modelCallOf(askedOf(run), undefined) };
}

/** The model that a run asks now, and for whom. */
export function askedOf(run: RunRecord): { readonly model: string; readonly clientId: string } {
  return { model: run.models[run.modelIndex] ?? "", clientId: run.caller.clientId };
}

export const NOTHING_USED = { tokens: 0, nanoUsd: 0 };

function noRoom(run: RunRecord, room: Room, requestBytes: number): ToolError {
  const money = room.nanoUsd === undefined ? "" : ` and $${(room.nanoUsd / NANO_USD).toFixed(4)} of budget.usd`;
  return new ToolError(
    "limit_reached",
    `The next model call could take ${requestBytes} tokens for its input, and ${room.tokens} are left of budget.tokens${money}; give more.`,
  );
}
