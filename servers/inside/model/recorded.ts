import { type CallPipeline, callRecorded } from "../../core/call.ts";
import type { OnPause } from "../../core/gate.ts";
import { ToolError } from "../../shared/errors.ts";
import { readText } from "../../shared/read-text.ts";
import type { InsideVisit } from "../visit.ts";
import type { Dialect } from "./dialect.ts";
import { refusalOf } from "./refusal.ts";

/** As much of an `InsideVisit` as models need. */
export interface ModelVisit extends Pick<InsideVisit, "request" | "waitUntil"> {
  readonly pipeline: Pick<CallPipeline, "caller" | "log" | "gate" | "record" | "readUsage">;
}

const MAX_REQUEST_BYTES = 8 * 1024 * 1024;
/** How much of a longer one is read, unkept: a client that still sends would lose the answer. */
const MAX_DRAINED_BYTES = 64 * 1024 * 1024;

/**
 * Does what the request asks for as one call in the books, of a caller who may use models and within their limits. `work` is
 * given the request's JSON, and says how long the answer was. The refusal, where it comes to one; never rejects.
 */
export async function recorded(
  name: string,
  refuse: Dialect["refuse"],
  { request, pipeline }: ModelVisit,
  work: (body: unknown, onPause: OnPause) => Promise<number>,
): Promise<Response | undefined> {
  const text = await readText(request.body, MAX_REQUEST_BYTES, MAX_DRAINED_BYTES).catch(() => "");
  const callable = { name, scopes: ["delegate:run"] } as const;
  const sizeOf = (bytes: number): number => bytes;
  const end = await callRecorded(callable, text ?? "", pipeline, sizeOf, async (onPause) => {
    if (text === undefined) throw TOO_LARGE;
    return await work(request.method === "POST" ? readJson(text) : undefined, onPause);
  });
  return end.ok ? undefined : refusalResponse(refuse, end.error);
}

const TOO_LARGE = new ToolError("too_large", `The body is over ${MAX_REQUEST_BYTES} bytes; send less at once.`);

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new ToolError("invalid_input", "The body is not JSON.");
  }
}

export function refusalResponse(refuse: Dialect["refuse"], error: ToolError): Response {
  const refusal = refusalOf(error, Date.now());
  const { status, retryAfterSeconds, isRetryable } = refusal;
  return Response.json(refuse(refusal), {
    status,
    headers: {
      "cache-control": "no-store",
      ...(retryAfterSeconds === undefined ? {} : { "retry-after": String(retryAfterSeconds) }),
      // Both SDKs go by it before they go by the status.
      ...(isRetryable ? {} : { "x-should-retry": "false" }),
    },
  });
}
