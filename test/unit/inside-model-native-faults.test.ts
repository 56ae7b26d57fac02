import { afterAll, beforeAll, expect, test } from "vitest";
import { type InsideModelSuite, startInsideModel } from "../support/inside-model.ts";
import { type AnthropicReply, startTestAnthropic } from "../support/test-anthropic.ts";

const REAL_KEY = "the-real-key";
const DAY_TOKENS = 1_000_000;
const MESSAGE = {
  ...{ id: "msg_1", type: "message", role: "assistant", model: "claude-sonnet-5", content: [] },
  ...{ stop_reason: null, stop_sequence: null, usage: { input_tokens: 9, output_tokens: 1 } },
};

let endpoint: Awaited<ReturnType<typeof startTestAnthropic>>;
let suite: InsideModelSuite;

beforeAll(async () => {
  endpoint = await startTestAnthropic();
  suite = await startInsideModel({
    ...{ AI_GATEWAY_ACCOUNT_ID: "account", AI_GATEWAY_ID: "gateway", AI_GATEWAY_TOKEN: "gateway-token" },
    ...{ AI_GATEWAY_BASE_URL: endpoint.compatUrl, MODEL_API_KEY: REAL_KEY },
    DELEGATE_DAILY_TOKENS: String(DAY_TOKENS),
  });
});

afterAll(async () => {
  await suite[Symbol.asyncDispose]();
  await endpoint[Symbol.asyncDispose]();
});

async function send(userId: string, stream: boolean): Promise<Response> {
  return await fetch(`${suite.url}/v1/messages`, {
    method: "POST",
    headers: { "x-test-user": userId },
    body: JSON.stringify({
      ...{ model: "claude-sonnet-5", max_tokens: 500, stream },
      messages: [{ role: "user", content: "Hi" }],
    }),
  });
}

function refusal(type: string, message: string): { readonly type: "error"; readonly error: object } {
  return { type: "error", error: { type, message } };
}

const KEPT = "kept";
const GIVEN_BACK = "given back";

test.each<readonly [what: string, AnthropicReply, status: number, message: RegExp, reservation: string]>([
  [
    "refuses our key",
    { status: 401, body: refusal("authentication_error", REAL_KEY) },
    ...([502, /refused the key/, GIVEN_BACK] as const),
  ],
  [
    "limits requests",
    { status: 429, body: refusal("rate_limit_error", REAL_KEY), headers: { "retry-after": "7" } },
    ...([429, /status 429/, GIVEN_BACK] as const),
  ],
  [
    "is out of money",
    { status: 402, body: refusal("billing_error", REAL_KEY) },
    ...([429, /spend limit is reached/, GIVEN_BACK] as const),
  ],
  ["is overloaded", { status: 529, body: refusal("overloaded_error", REAL_KEY) }, 502, /status 529/, GIVEN_BACK],
  [
    "finds the conversation too long",
    { status: 400, body: refusal("invalid_request_error", "prompt is too long: 250000 tokens > 200000 maximum") },
    ...([400, /^The prompt is too long/, GIVEN_BACK] as const),
  ],
  [
    "refuses the request",
    { status: 400, body: refusal("invalid_request_error", REAL_KEY) },
    ...([400, /refused the request/, GIVEN_BACK] as const),
  ],
  ["has no such path", { status: 404, body: refusal("not_found_error", REAL_KEY) }, 404, /does not know/, GIVEN_BACK],
  [
    "breaks off",
    { events: [{ type: "message_start", message: MESSAGE }] },
    ...([502, /could not be read/, KEPT] as const),
  ],
  [
    "reports an error in the midst",
    { events: [{ type: "message_start", message: MESSAGE }, refusal("overloaded_error", REAL_KEY)] },
    ...([502, /could not be read/, KEPT] as const),
  ],
  [
    "names an event by several lines",
    { raw: `data: ${JSON.stringify({ type: `ping\ndata: ${REAL_KEY}` })}\n\n`, contentType: "text/event-stream" },
    ...([502, /could not be read/, KEPT] as const),
  ],
  ["is a page", { raw: `<html>${REAL_KEY}</html>`, contentType: "text/html" }, 502, /could not be read/, KEPT],
  [
    "knows no streams",
    { raw: JSON.stringify(MESSAGE), contentType: "application/json" },
    502,
    /could not be read/,
    KEPT,
  ],
])("where Anthropic %s clients hear so in our words", async (what, reply, status, message, reservation) => {
  endpoint.script(reply, reply);
  const whole = await send(`whole-${what}`, false);
  const text = await whole.text();
  expect(whole.status).toBe(status);
  expect(JSON.parse(text)).toMatchObject({ type: "error", error: { message: expect.stringMatching(message) } });
  const streamed = await (await send(`streamed-${what}`, true)).text();
  expect(text + streamed).not.toContain(REAL_KEY);
  expect(streamed).toMatch(/"type":"error","error":\{"type":"\w+","message":".+"\}\}\s*$/);
  for (const userId of [`whole-${what}`, `streamed-${what}`]) {
    const { left, audit } = await suite.books(1, userId);
    expect(audit.every(({ outcome }) => outcome !== "ok" && outcome !== "internal")).toBe(true);
    if (reservation === GIVEN_BACK) expect(left.tokens).toBe(DAY_TOKENS);
    else expect(DAY_TOKENS - left.tokens).toBeGreaterThan(500);
  }
  expect(suite.logs()).toContain("books shown");
  expect(suite.logs()).not.toContain(REAL_KEY);
});

const USED_UNTOLD: readonly (readonly [what: string, begun: object, end: object])[] = [
  ["tells less than nothing", { input_tokens: -1 }, { output_tokens: 3 }],
  ["tells at its beginning alone", { input_tokens: 9, output_tokens: 1 }, {}],
  ["ends with what is no number", { input_tokens: 9, output_tokens: 1 }, { output_tokens: "3" }],
];

test.each(USED_UNTOLD)("an answer that %s counts as the most that it could have used", async (what, begun, end) => {
  endpoint.script({
    events: [
      { type: "message_start", message: { ...MESSAGE, usage: begun } },
      { type: "message_delta", delta: { stop_reason: "end_turn" }, usage: end },
      { type: "message_stop" },
    ],
  });
  expect((await send(what, false)).status).toBe(200);
  expect(DAY_TOKENS - (await suite.books(1, what)).left.tokens).toBeGreaterThan(500);
});
