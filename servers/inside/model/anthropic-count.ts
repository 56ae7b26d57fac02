import * as z from "zod";
import { UNREACHABLE, UNREADABLE, describeFailedAnswer } from "../../delegate/model/failure.ts";
import type { MessagesApi } from "../../delegate/model/messages-api.ts";
import { parseJson } from "../../shared/parse-json.ts";
import { readText } from "../../shared/read-text.ts";
import type { Asking } from "./dialect.ts";
import { ModelFailed } from "./refusal.ts";

const TIMEOUT_MS = 10_000;
const MAX_COUNT_BYTES = 4_096;
const counted = z.object({ input_tokens: z.int().min(0) });

/** What is counted of a request; it is refused with anything else. */
const COUNTED = ["model", "system", "tools", "tool_choice", "messages", "output_config", "thinking"];

/**
 * The tokens of a request's input by Anthropic's count, which costs nothing; `undefined` where nothing is counted. Rejects
 * with `ModelFailed`, or why the signal aborts.
 */
export async function countedByAnthropic(
  request: { readonly model: string; readonly [field: string]: unknown },
  { countUrl, headers }: Pick<MessagesApi, "countUrl" | "headers">,
  { fetcher, signal }: Asking,
): Promise<number | undefined> {
  if (countUrl === undefined) return undefined;
  const body = JSON.stringify(Object.fromEntries(COUNTED.map((field) => [field, request[field]])));
  let response: Response;
  let text: string;
  try {
    response = await fetcher(countUrl, {
      method: "POST",
      headers: { ...headers, "content-type": "application/json" },
      body,
      // A redirect would take the key along.
      redirect: "manual",
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
    });
    text = (await readText(response.body, MAX_COUNT_BYTES)) ?? "";
  } catch {
    signal.throwIfAborted();
    throw new ModelFailed(UNREACHABLE);
  }
  const tokens = response.ok ? counted.safeParse(parseJson(text)).data?.input_tokens : undefined;
  if (tokens !== undefined) return tokens;
  if (response.ok) throw new ModelFailed(UNREADABLE);
  const answer = { status: response.status, retryAfter: response.headers.get("retry-after"), body: text };
  throw new ModelFailed(describeFailedAnswer(answer, request.model, "max_tokens"));
}
