import * as z from "zod";
import { readText } from "../servers/shared/read-text.ts";

const TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 256 * 1024;

/** Why Access says nothing of a person. `reason` is for the log and holds no secret. */
export type AccessRefusal =
  /** It says no, or what it sends is not genuine. */
  | { readonly kind: "refused"; readonly reason: string }
  /** It cannot be asked right now. */
  | { readonly kind: "unavailable"; readonly reason: string };

/** Error codes are the provider's words: only what looks like one goes on (RFC 6749 §5.2). */
const errorAnswer = z.object({ error: z.string().regex(/^[a-z_]{1,40}$/) });

type Answer<T> = { readonly kind: "answer"; readonly value: T } | AccessRefusal;

/** A question to Access, whose answer is JSON of that form. */
export async function askAccess<T>(
  url: string,
  init: RequestInit,
  schema: z.ZodType<T>,
  fetcher: typeof fetch,
): Promise<Answer<T>> {
  let status: number;
  let text: string | undefined;
  try {
    // No redirect is followed: no other host is to see the secret, or to answer.
    const response = await fetcher(url, { ...init, redirect: "manual", signal: AbortSignal.timeout(TIMEOUT_MS) });
    status = response.status;
    text = await readText(response.body, MAX_ANSWER_BYTES);
  } catch {
    return { kind: "unavailable", reason: "no answer" };
  }
  const json = parseJson(text);
  if (status !== 200) return refusalOf(status, json);
  const parsed = schema.safeParse(json);
  if (!parsed.success) return { kind: "unavailable", reason: "an answer of another form" };
  return { kind: "answer", value: parsed.data };
}

/** A refusal is about the person, unless it is about us, our haste, or the provider itself. */
function refusalOf(status: number, json: unknown): AccessRefusal {
  const parsed = errorAnswer.safeParse(json);
  const error = parsed.success ? parsed.data.error : undefined;
  const reason = error ?? `status ${status}`;
  const isAboutUs =
    error === "invalid_client" || error === "unauthorized_client" || error === "temporarily_unavailable";
  const isAboutThem = status >= 400 && status < 500 && status !== 408 && status !== 429;
  return { kind: isAboutThem && !isAboutUs ? "refused" : "unavailable", reason };
}

function parseJson(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}
