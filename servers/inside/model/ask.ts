import type { SettledModelCall } from "../../account/model-spend.ts";
import type { CallPipeline } from "../../core/call.ts";
import { type Usage, spentBy } from "../../delegate/budget.ts";
import {
  type AskedModel,
  DAY_USED_UP,
  NOTHING_USED,
  type SetAside,
  modelCallOf,
  reserveOfDay,
  settleDay,
  unreported,
} from "../../delegate/day-room.ts";
import type { RunAccount } from "../../delegate/host.ts";
import { type ModelEndpoint, NO_ENDPOINT, type RequestLabels, modelEndpoint } from "../../delegate/model/endpoint.ts";
import { type LimitField, UNREACHABLE, UNREADABLE, describeFailedAnswer } from "../../delegate/model/failure.ts";
import { withCost } from "../../delegate/model/gateway.ts";
import { isTooLong } from "../../delegate/model/refusal.ts";
import { describeRoute } from "../../delegate/model/route.ts";
import { ToolError } from "../../shared/errors.ts";
import { readText } from "../../shared/read-text.ts";
import type { Settings } from "../../shared/settings.ts";
import { dataIn, isWholeAnswer } from "./answer-data.ts";
import type { AnswerWriter, Asked, Asking, Question, StreamEvent } from "./dialect.ts";
import { ModelFailed } from "./refusal.ts";
import { modelFor } from "./which-model.ts";

/** A client's own limit holds up to here. */
const MAX_ANSWER_TOKENS = 64_000;
/** Where it names none. */
const USUAL_ANSWER_TOKENS = 16_384;
const MAX_REFUSAL_BYTES = 64 * 1024;

/** Where models are asked, and whose day pays for it. */
export interface InsideModels {
  readonly settings: Settings;
  /** The caller's. */
  readonly account: Pick<RunAccount, "reserveModelCall" | "settleModelCall">;
  readonly fetcher: typeof fetch;
  /** How long an endpoint or a client may be silent. */
  readonly silenceMs?: number;
}

export interface AskContext extends InsideModels, Asking {
  readonly pipeline: Pick<CallPipeline, "caller" | "log" | "readUsage">;
}

/** An answer that has begun. */
export interface Answer {
  /** What a client is told of it, as it comes. Throws where it breaks off. */
  readonly events: AsyncIterable<readonly StreamEvent[]>;
  readonly writer: Pick<AnswerWriter, "end" | "fail" | "whole">;
  /** What it used, as far as that was told by then. */
  readonly usage: () => Usage | undefined;
}

/**
 * Asks the model that `asked` comes down to, with the most that it can use set aside before, and what it used settled
 * after, whatever comes of it. Throws `limit_reached`, `invalid_input`, `ModelFailed`, or why the signal aborts.
 */
export async function askModel<T>(asked: Asked, context: AskContext, take: (answer: Answer) => Promise<T>): Promise<T> {
  const { settings, account, pipeline, signal } = context;
  const { clientId } = pipeline.caller;
  const callId = `inside-${crypto.randomUUID()}`;
  const endpoint = modelEndpoint(settings, requestLabels(pipeline.caller, callId));
  if (endpoint === undefined) throw NO_ENDPOINT;
  const model = modelFor(asked.model, settings);
  const question = asked.question(endpoint, model);
  await refuseUnpriced(model, endpoint, pipeline);
  const aside = await reserveOfDay(
    { account, settings, endpoint: question.endpoint },
    {
      ...{ callId, model, room: { tokens: Infinity } },
      requestBytes: await question.mostInputTokens(context),
      longestAnswer: Math.min(asked.maxTokens ?? USUAL_ANSWER_TOKENS, MAX_ANSWER_TOKENS),
    },
  );
  if (aside === undefined) throw DAY_USED_UP;
  const call: SentCall = {
    ...{ question, aside },
    whose: { model, clientId },
    used: NOTHING_USED,
  };
  try {
    return await send(call, context, take);
  } catch (failure) {
    // Why it was given up is what counts, not what that broke.
    signal.throwIfAborted();
    throw failure;
  } finally {
    await settleDay({ account, log: pipeline.log }, callId, call.used);
  }
}

export function requestLabels({ userId, clientId }: CallPipeline["caller"], callId: string): RequestLabels {
  return { user: userId, run: callId, depth: "0", server: "inside", client: clientId };
}

interface SentCall {
  readonly question: Question;
  readonly whose: AskedModel;
  readonly aside: SetAside;
  /** What it comes to, as far as that is known. */
  used: SettledModelCall;
}

async function send<T>(call: SentCall, context: AskContext, take: (answer: Answer) => Promise<T>): Promise<T> {
  const {
    question: { endpoint, limitField, answer },
    whose,
    aside,
  } = call;
  const response = await answerTo(call, context, limitField);
  const route = (): ReturnType<typeof describeRoute> =>
    describeRoute(endpoint, response.headers, { asked: whose.model, answered: answer.told().model });
  const usage = (): Usage | undefined => withCost(answer.told().usage, endpoint, route());
  const events = async function* (): AsyncGenerator<readonly StreamEvent[]> {
    const isWhole = isWholeAnswer(response);
    for await (const data of dataIn(response, context.signal)) yield answer.take(data, isWhole);
    if (!answer.told().hasEnded) throw new ModelFailed(UNREADABLE);
  };
  try {
    return await take({ events: events(), writer: answer, usage });
  } finally {
    // What breaks off has told of what it used by then at most.
    const known = answer.told().hasEnded ? usage() : undefined;
    if (known !== undefined) {
      call.used = { ...spentBy(known, aside), of: modelCallOf(whose, known, route().servedBy) };
    }
  }
}

/** The endpoint's answer. One that wants the limit by its other name is asked once more. */
async function answerTo(
  call: SentCall,
  context: AskContext,
  limitField: LimitField,
  isSecond = false,
): Promise<Response> {
  const { question, whose, aside } = call;
  const { fetcher, signal } = context;
  signal.throwIfAborted();
  call.used = unreported(whose, aside);
  let response: Response;
  try {
    response = await fetcher(question.url, {
      method: "POST",
      headers: { ...question.endpoint.headers, "content-type": "application/json" },
      body: question.body(limitField, aside.answerTokens),
      // A redirect would take the key along.
      redirect: "manual",
      signal,
    });
  } catch {
    throw new ModelFailed(UNREACHABLE);
  }
  if (response.ok) return response;
  const body = (await readText(response.body, MAX_REFUSAL_BYTES).catch(() => undefined)) ?? "";
  const { status, headers } = response;
  const answer = { status, retryAfter: headers.get("retry-after"), body };
  const failure = describeFailedAnswer(answer, whose.model, limitField);
  if (!failure.mayHaveCost) call.used = NOTHING_USED;
  if (failure.limitField !== undefined && !isSecond) {
    return await answerTo(call, context, failure.limitField, true);
  }
  throw new ModelFailed(failure, isTooLong(body));
}

/** A person's dollars cannot be kept where nobody knows what is paid. */
async function refuseUnpriced(
  model: string,
  { priceOf }: ModelEndpoint,
  { readUsage: readDay }: Pick<CallPipeline, "readUsage">,
): Promise<void> {
  if (priceOf(model) !== undefined) return;
  const { limits } = await readDay();
  if (limits["usd_per_day"]?.limit === undefined) return;
  throw new ToolError(
    "limit_reached",
    `What ${model} costs is not known, so usd_per_day cannot be kept; name another model, or have MODEL_PRICES set.`,
  );
}
