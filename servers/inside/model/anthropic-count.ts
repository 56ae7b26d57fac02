import * as z from "zod";
import { UNREACHABLE, UNREADABLE, describeFailedAnswer } from "../../delegate/model/failure.ts";
import type { MessagesApi } from "../../delegate/model/messages-api.ts";
import { parseJson } from "../../shared/parse-json.ts";
import { readText } from "../../shared/read-text.ts";
import { present } from "./ask-schema.ts";
import type { Asking } from "./dialect.ts";
import type { MessagesRequest } from "./messages-schema.ts";
import { betasOf } from "./native-request.ts";
import { ModelFailed } from "./refusal.ts";

const TIMEOUT_MS = 10_000;
const MAX_COUNT_BYTES = 4_096;
const counted = z.object({ input_tokens: z.int().min(0) });

/** What is to be counted. */
interface Counting {
  /** As Anthropic is asked it, but for thoughts. */
  readonly native: { readonly model: string; readonly [field: string]: unknown };
  readonly asked: MessagesRequest;
  /** The client's. */
  readonly headers: Headers;
}

/**
 * The tokens of a request's input by Anthropic's count, which costs nothing; `undefined` where nothing is counted. Rejects
 * with `ModelFailed`, or why the signal aborts.
 */
export async function countedByAnthropic(
  { native, asked, headers }: Counting,
  { countUrl, headers: apiHeaders }: MessagesApi,
  { fetcher, signal }: Asking,
): Promise<number | undefined> {
  if (countUrl === undefined) return undefined;
  // It is refused with anything else.
  const { model, system, tools, tool_choice, messages, output_config } = native;
  const { thinking } = present({ thinking: asked.thinking });
  const counting = { model, system, tools, tool_choice, messages, output_config, thinking };
  let response: Response;
  let text: string;
  try {
    response = await fetcher(countUrl, {
      method: "POST",
      headers: { ...apiHeaders, ...betasOf(headers), "content-type": "application/json" },
      body: JSON.stringify(counting),
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
  throw new ModelFailed(describeFailedAnswer(answer, model, "max_tokens"));
}
