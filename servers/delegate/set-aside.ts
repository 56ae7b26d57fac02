import { ToolError } from "../shared/errors.ts";
import { NANO_USD, type Room, charge, roomIn } from "./budget.ts";
import {
  type AskedModel,
  NOTHING_USED,
  type SetAside,
  reserveOfDay,
  scaled,
  settleDay,
  type SettledBooks,
} from "./day-room.ts";
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
    context.inBackground(settleDay(booksOf(context), aside.callId, NOTHING_USED));
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
    if (unsettled?.callId === callId) context.inBackground(settleDay(booksOf(context), callId, unsettled));
  }, SETTLE_AFTER_MS);
}

/** The model that a run asks now, and for whom. */
export function askedOf(run: RunRecord): AskedModel {
  return { model: run.models[run.modelIndex] ?? "", clientId: run.caller.clientId };
}

function booksOf({ host, log }: StepContext): SettledBooks {
  return { account: host.account, log };
}

function noRoom(run: RunRecord, room: Room, requestBytes: number): ToolError {
  const money = room.nanoUsd === undefined ? "" : ` and $${(room.nanoUsd / NANO_USD).toFixed(4)} of budget.usd`;
  return new ToolError(
    "limit_reached",
    `The next model call could take ${requestBytes} tokens for its input, and ${room.tokens} are left of budget.tokens${money}; give more.`,
  );
}
