import * as z from "zod";

/**
 * What spend limits are called: AI Gateway's own (2045), OpenAI's, and Anthropic's. AI Gateway documents the status
 * alone (429, as for its rate limit, 2003), so its sentence counts too.
 */
const SPEND_LIMIT_CODES = new Set([
  "2045",
  "insufficient_quota",
  "credit_balance_exhausted",
  "organization_spend_limit_exceeded",
  "enforced_spend_limit_reached",
  "billing_error",
]);
const SPEND_LIMIT_SENTENCE = /^Spend limit exceeded\b/i;

/** Whether the endpoint refuses for want of money, by the body of its answer. */
export function isSpendLimit(body: string): boolean {
  const errors = readErrors(body);
  return errors.some(({ codes, message }) => {
    return codes.some((code) => SPEND_LIMIT_CODES.has(code)) || SPEND_LIMIT_SENTENCE.test(message);
  });
}

/** Azure's and OpenAI's filter, and the guardrails of AI Gateway: 2016 for the question, 2017 for the answer. */
const CONTENT_FILTER_CODES = new Set(["content_filter", "content_policy_violation", "2016", "2017"]);

/** Whether a filter took offence at the conversation, by the body of the endpoint's answer. */
export function isContentFilter(body: string): boolean {
  return readErrors(body).some(({ codes }) => codes.some((code) => CONTENT_FILTER_CODES.has(code)));
}

/** OpenAI's code, and how Anthropic, Google, vLLM and llama.cpp put it. */
const TOO_LONG =
  /context_length_exceeded|prompt is too long|maximum context length|input token count.*exceeds|exceed.*context/i;

/** Whether the conversation is longer than the model reads, by the body of the endpoint's answer. */
export function isTooLong(body: string): boolean {
  return readErrors(body).some(
    ({ codes, message }) => codes.some((code) => TOO_LONG.test(code)) || TOO_LONG.test(message),
  );
}

const code = z.union([z.string(), z.number()]).transform(String).optional().catch(undefined);
const error = z
  .object({
    code,
    type: code,
    message: z.string().catch(""),
    details: z.object({ error_code: code }).optional().catch(undefined),
  })
  .transform(({ code: own, type, details, message }) => ({
    codes: [own, type, details?.error_code].filter((each) => each !== undefined),
    message,
  }));
const errors = z.union([z.array(error), error.transform((one) => [one])]).catch([]);
/** OpenAI's and Anthropic's `error`, AI Gateway's list under the same name, and `errors` of Cloudflare's API. */
const errorBody = z.object({ error: errors, errors });

function readErrors(body: string): z.output<typeof errors> {
  try {
    const parsed = errorBody.safeParse(JSON.parse(body));
    return parsed.success ? [...parsed.data.error, ...parsed.data.errors] : [];
  } catch {
    return [];
  }
}
