import type { ModelMessage } from "ai";
import { ToolError } from "../shared/errors.ts";
import { isExcess, release, settle, spentBy } from "./budget.ts";
import type { Failure } from "./model/failure.ts";
import type { Question, Reply } from "./model/gateway.ts";
import { describeFallback, describeMisfit, instructionsFor } from "./instructions.ts";
import { DAY_TAKEN, NOTHING_USED, type SetAside, modelCallOf, unreported } from "./day-room.ts";
import { askedOf, setAside, settleSoon } from "./set-aside.ts";
import { type StepContext, endRun, lastText, leftMs, withDeadline } from "./step-context.ts";
import { structuredResult } from "./structured-result.ts";
import { offeredTools, toolSet } from "./toolbox.ts";
import { type RunRecord, openRequests, toolResult } from "./transcript.ts";

const MODEL_TIMEOUT_MS = 300_000;
/** Model calls in a row that may fail before the run does. */
const MAX_ATTEMPTS = 3;
const FIRST_RETRY_MS = 500;
const MAX_RETRY_WAIT_MS = 60_000;
const DAY_WAIT_MS = 3_000;
/** Calls of one reply that are run; the rest are refused. */
const MAX_CALLS_PER_REPLY = 16;

const TOO_SLOW = new ToolError(
  "timeout",
  "The model endpoint did not answer in time; try later, or name another model.",
);
const REFUSED = new ToolError("unavailable", "The model refused to answer; put the task differently.");
const SILENT = new ToolError("unavailable", "The model ended without an answer; name another model.");
const CUT_SHORT = new ToolError("limit_reached", "The answer was cut off; give more budget, or ask for less.");
const CUT_OFF = new ToolError(
  "unavailable",
  "The run was cut off again and again while the model worked; start it anew.",
);
const EXCESS = new ToolError(
  "limit_reached",
  "The endpoint reported more than one call could use, so the run was ended; check the model's settings.",
);

/** Asks the model once and takes in what it says. Returns as `takeStep` does. */
export async function askModel(
  context: StepContext,
  run: RunRecord,
  messages: ModelMessage[],
): Promise<number | undefined> {
  const { transcript, now } = context;
  if (run.inFlight === "model") {
    // It is not the model's failure, so no other is asked in its place.
    return takeFailure(context, run, { ...unanswered(CUT_OFF), mayFallBack: false }, run.reserved);
  }
  const isLast = run.turns === run.budget.turns - 1;
  let reservation: SetAside | undefined;
  const question: Omit<Question, "signal"> = {
    model: run.models[run.modelIndex] ?? "",
    instructions: instructionsFor(run, isLast),
    messages,
    tools: toolSet(offeredTools(context.tools, run)),
    mayCallTools: !isLast && !run.isRepairing,
    limitField: run.limitField,
    reserve: async (requestBytes) => (reservation = await setAside(context, run, requestBytes)),
  };
  let reply: Reply;
  try {
    reply = await withDeadline(
      context,
      Math.min(MODEL_TIMEOUT_MS, leftMs(run, now())),
      TOO_SLOW,
      async (signal) => await context.ask({ ...question, signal }),
    );
  } catch (failure) {
    // What was set aside is closed with the run.
    if (transcript.read().status !== "running") return undefined;
    if (!(failure instanceof ToolError)) throw failure;
    if (failure === DAY_TAKEN) return waitForDay(context);
    if (failure !== TOO_SLOW) return endRun(context, "budget_exhausted", failure, lastText(messages));
    reply = unanswered(TOO_SLOW);
  }
  if (reply.kind === "failure") return takeFailure(context, run, reply, reservation);
  return takeReply(context, run, reply, reservation);
}

function waitForDay({ transcript }: StepContext): number {
  transcript.update({ activity: "waits for what other calls hold of the day's limit" });
  return DAY_WAIT_MS;
}

/** A call of which nobody knows how far it came. */
function unanswered({ code, message }: ToolError): Failure {
  return {
    kind: "failure",
    code,
    message,
    mayHaveCost: true,
    isRetryable: true,
    mayFallBack: true,
    isSpendLimit: false,
  };
}

function takeFailure(
  context: StepContext,
  run: RunRecord,
  failure: Failure,
  reservation: SetAside | undefined,
): number | undefined {
  const { transcript } = context;
  if (reservation !== undefined) {
    const { ledger } = transcript.read();
    const { mayHaveCost } = failure;
    const settled = mayHaveCost ? settle(ledger, reservation, undefined) : release(ledger, reservation);
    const used = mayHaveCost ? unreported(askedOf(run), reservation) : NOTHING_USED;
    transcript.update({ ledger: settled, reserved: undefined, unsettled: { callId: reservation.callId, ...used } });
    settleSoon(context, reservation.callId);
  }
  return transcript.read().status === "running" ? retryOrFail(context, run, failure) : undefined;
}

/** The next model goes on where there is one; else the same is asked again, a few times. */
function retryOrFail(context: StepContext, run: RunRecord, failure: Failure): number | undefined {
  const { transcript, log } = context;
  const failedAttempts = run.failedAttempts + 1;
  const { code, status, limitField, mayFallBack } = failure;
  log.info("model call failed", { run: run.runId, code, status, attempt: failedAttempts });
  const next = run.models[run.modelIndex + 1];
  if (limitField === undefined && mayFallBack && next !== undefined) {
    transcript.update({
      inFlight: "none",
      failedAttempts: 0,
      limitField: "max_tokens",
      modelIndex: run.modelIndex + 1,
      notes: [...transcript.read().notes, describeFallback(run, next, failure)],
    });
    return 0;
  }
  transcript.update({ inFlight: "none", failedAttempts, limitField: limitField ?? run.limitField });
  if (limitField !== undefined) return 0;
  const waitMs = failure.retryAfterMs ?? FIRST_RETRY_MS * 2 ** run.failedAttempts;
  if (failure.isRetryable && failedAttempts < MAX_ATTEMPTS && waitMs <= MAX_RETRY_WAIT_MS) return waitMs;
  return endRun(context, "failed", new ToolError(code, failure.message), lastText(transcript.messages()));
}

function takeReply(
  context: StepContext,
  run: RunRecord,
  reply: Extract<Reply, { kind: "reply" }>,
  reservation: SetAside | undefined,
): number | undefined {
  const { transcript } = context;
  if (reservation === undefined) throw new Error("The model was asked without a reservation.");
  const { usage, servedBy, notes } = reply;
  const { ledger, modelsUsed, notes: known } = transcript.read();
  const used =
    usage === undefined
      ? unreported(askedOf(run), reservation)
      : { ...spentBy(usage, reservation), of: modelCallOf(askedOf(run), usage, servedBy) };
  const settled = {
    inFlight: "none" as const,
    failedAttempts: 0,
    reserved: undefined,
    unsettled: { callId: reservation.callId, ...used },
    turns: run.turns + 1,
    ledger: settle(ledger, reservation, usage),
    modelsUsed: modelsUsed.includes(servedBy) ? modelsUsed : [...modelsUsed, servedBy],
    notes: [...new Set([...known, ...notes])],
  };
  // What a model was kept from saying is not shown to the next one.
  const said = reply.finishReason === "content-filter" ? [] : [...reply.messages, ...refusedCalls(reply.messages)];
  transcript.update(settled, said);
  settleSoon(context, reservation.callId);
  if (transcript.read().status !== "running") return undefined;
  if (usage !== undefined && isExcess(usage, reservation))
    return endRun(context, "budget_exhausted", EXCESS, reply.text);
  return readReply(context, run, reply);
}

function refusedCalls(messages: readonly ModelMessage[]): ModelMessage[] {
  const text = `limit_reached: Only ${MAX_CALLS_PER_REPLY} calls of a reply are run.`;
  return openRequests(messages)
    .slice(MAX_CALLS_PER_REPLY)
    .map((request) => toolResult(request, text, true));
}

function readReply(
  context: StepContext,
  run: RunRecord,
  { messages, text, finishReason }: Extract<Reply, { kind: "reply" }>,
): number | undefined {
  const { transcript } = context;
  if (finishReason === "content-filter") {
    return retryOrFail(
      context,
      { ...run, turns: run.turns + 1 },
      {
        ...unanswered(REFUSED),
        isRetryable: false,
      },
    );
  }
  if (messages.some(hasCalls)) return 0;
  if (finishReason === "length") return endRun(context, "budget_exhausted", CUT_SHORT, text);
  if (text === "") return endRun(context, "failed", SILENT);
  if (run.outputSchema === undefined) return complete(context, text);
  const structured = structuredResult(text, run.outputSchema);
  if (structured.ok) return complete(context, structured.json);
  if (run.isRepairing || run.turns + 1 >= run.budget.turns) {
    const message = `The result does not fit output_schema: ${structured.problem} Loosen the schema, or name another model.`;
    return endRun(context, "failed", new ToolError("invalid_input", message), text);
  }
  transcript.update({ isRepairing: true }, [{ role: "user", content: describeMisfit(structured.problem) }]);
  return 0;
}

function complete({ transcript, now }: StepContext, result: string): undefined {
  transcript.update({ status: "completed", activity: "completed", result, endedAtMs: now() });
}

function hasCalls(message: ModelMessage): boolean {
  return (
    message.role === "assistant" &&
    typeof message.content !== "string" &&
    message.content.some(({ type }) => type === "tool-call")
  );
}
