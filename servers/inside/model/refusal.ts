import { DAY_MS, nextOf } from "../../core/limit-check.ts";
import { DAY_TAKEN, DAY_USED_UP } from "../../delegate/day-room.ts";
import { NO_ENDPOINT } from "../../delegate/model/endpoint.ts";
import type { Failure } from "../../delegate/model/failure.ts";
import { type ErrorCode, HTTP_STATUS, ToolError } from "../../shared/errors.ts";
import { LimitReached } from "../../shared/limits.ts";

/** Why a client gets no answer, in our words. */
export interface Refusal {
  readonly status: number;
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryAfterSeconds?: number;
  /** Whether it helps to ask the same again; clients of both kinds try by themselves unless told. */
  readonly isRetryable: boolean;
  /** The conversation is longer than the model reads; clients shorten it where they are told so. */
  readonly isTooLong: boolean;
}

/** The model endpoint gave no answer. */
export class ModelFailed extends ToolError {
  readonly failure: Failure;
  readonly isTooLong: boolean;

  constructor(failure: Failure, isTooLong = false) {
    super(
      failure.code,
      isTooLong ? "The prompt is too long for the model; shorten the conversation." : failure.message,
    );
    this.failure = failure;
    this.isTooLong = isTooLong;
  }
}

/** What the endpoint refused for what the client sent. The endpoint's own 401 is no word on the client's key. */
const CLIENTS_FAULT: ReadonlySet<number> = new Set([400, 404, 413, 422]);

export function refusalOf(error: ToolError, nowMs: number): Refusal {
  const { code, message } = error;
  const refusal = { code, message, status: HTTP_STATUS[code], isRetryable: false, isTooLong: false };
  if (error instanceof ModelFailed) return { ...refusal, ...byEndpoint(error) };
  if (error === DAY_TAKEN) return { ...refusal, isRetryable: true, retryAfterSeconds: 3 };
  if (error === DAY_USED_UP) return { ...refusal, retryAfterSeconds: secondsUntilNext(DAY_MS, nowMs) };
  if (error instanceof LimitReached) return { ...refusal, ...byLimit(error, nowMs) };
  return { ...refusal, isRetryable: error !== NO_ENDPOINT && (code === "unavailable" || code === "timeout") };
}

function byEndpoint({ failure, isTooLong }: ModelFailed): Partial<Refusal> {
  const { status = 0, code, isRetryable, retryAfterMs } = failure;
  return {
    status: CLIENTS_FAULT.has(status)
      ? status
      : code === "limit_reached" || code === "timeout"
        ? HTTP_STATUS[code]
        : 502,
    isRetryable,
    isTooLong,
    ...(retryAfterMs === undefined ? {} : { retryAfterSeconds: Math.ceil(retryAfterMs / 1_000) }),
  };
}

function byLimit({ limit }: LimitReached, nowMs: number): Partial<Refusal> {
  if (limit === "concurrentCalls") return { isRetryable: true, retryAfterSeconds: 1 };
  if (limit === "callsPerMinute") return { isRetryable: true, retryAfterSeconds: secondsUntilNext(60_000, nowMs) };
  return { retryAfterSeconds: secondsUntilNext(DAY_MS, nowMs) };
}

function secondsUntilNext(spanMs: number, nowMs: number): number {
  return Math.ceil((Date.parse(nextOf(spanMs, nowMs)) - nowMs) / 1_000);
}
