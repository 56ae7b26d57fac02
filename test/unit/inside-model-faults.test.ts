import { afterAll, beforeAll, expect, test } from "vitest";
import { type InsideModelSuite, startInsideModel } from "../support/inside-model.ts";
import type { ScriptedReply } from "../support/scripted-replies.ts";
import { type TestGateway, startTestGateway } from "../support/test-gateway.ts";

const REAL_KEY = "the-real-key";
const DAY_TOKENS = 1_000_000;

let gateway: TestGateway;
let suite: InsideModelSuite;

beforeAll(async () => {
  gateway = await startTestGateway({ key: REAL_KEY });
  suite = await startInsideModel({
    MODEL_BASE_URL: gateway.baseUrl,
    MODEL_API_KEY: REAL_KEY,
    MODEL_DEFAULT: "model",
    DELEGATE_DAILY_TOKENS: String(DAY_TOKENS),
    SILENCE_MS: "1500",
  });
});

afterAll(async () => {
  await suite[Symbol.asyncDispose]();
  await gateway[Symbol.asyncDispose]();
});

const CHAT = "/v1/chat/completions";
const MESSAGES = "/v1/messages";
const RESPONSES = "/v1/responses";

async function send(userId: string, path: string, body: unknown, to = suite): Promise<Response> {
  return await fetch(to.url + path, {
    method: "POST",
    headers: { "content-type": "application/json", "x-test-user": userId },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
}

function hello(path: string, more: object = {}): object {
  const messages = [{ role: "user", content: "Hi" }];
  return path === RESPONSES ? { input: "Hi", max_output_tokens: 500, ...more } : { messages, max_tokens: 500, ...more };
}

const KEPT = "kept";
const GIVEN_BACK = "given back";

/** What the endpoint does, what clients hear before a stream has begun, and whether the reservation stands. */
const REFUSALS: readonly (readonly [
  what: string,
  reply: ScriptedReply,
  status: number,
  message: RegExp,
  reservation: string,
])[] = [
  ["limits requests", { kind: "status", status: 429, headers: { "retry-after": "7" } }, 429, /status 429/, GIVEN_BACK],
  ["has reached its spend limit", { kind: "spend limit" }, 429, /spend limit is reached/, GIVEN_BACK],
  ["limits its rate", { kind: "rate limit" }, 429, /limits requests/, GIVEN_BACK],
  ["breaks", { kind: "status", status: 500, body: { error: { message: REAL_KEY } } }, 502, /status 500/, KEPT],
  ["is overloaded", { kind: "status", status: 529 }, 502, /status 529/, GIVEN_BACK],
  [
    "refuses our key",
    { kind: "status", status: 401, body: { error: { message: REAL_KEY } } },
    502,
    /refused the key/,
    GIVEN_BACK,
  ],
  ["does not know the model", { kind: "status", status: 404 }, 404, /does not know "model"/, GIVEN_BACK],
  ["cannot read the request", { kind: "status", status: 400 }, 400, /refused the request/, GIVEN_BACK],
  [
    "leads elsewhere",
    { kind: "status", status: 302, headers: { location: "http://evil.example/" } },
    502,
    /status 302/,
    GIVEN_BACK,
  ],
  [
    "is a page",
    { kind: "raw", body: "<html>the-real-key</html>", contentType: "text/html" },
    502,
    /could not be read/,
    KEPT,
  ],
  ["writes no JSON", { kind: "raw", body: "{" }, 502, /could not be read/, KEPT],
  ["writes another JSON", { kind: "raw", body: '{"choices": 1}' }, 502, /could not be read/, KEPT],
  ["breaks off", { kind: "truncated" }, 502, /could not be read/, KEPT],
  [
    "ends without an end",
    { kind: "events", data: [{ choices: [{ delta: { content: "a" } }] }] },
    502,
    /could not be read/,
    KEPT,
  ],
  [
    "tells what it has used and ends without an end",
    {
      kind: "events",
      data: [{ choices: [{ delta: { content: "a" } }], usage: { prompt_tokens: 1, completion_tokens: 1 } }],
    },
    502,
    /could not be read/,
    KEPT,
  ],
  ["reports an error", { kind: "events", data: [{ error: { message: REAL_KEY } }] }, 502, /could not be read/, KEPT],
  ["never answers", { kind: "hang" }, 504, /did not answer in time/, KEPT],
  ["falls silent", { kind: "hang", afterBytes: true }, 504, /did not answer in time/, KEPT],
];

for (const [index, [what, reply, status, message, reservation]] of REFUSALS.entries()) {
  test(`where the endpoint ${what} clients hear so in the shape of theirs, and nothing of ours`, async () => {
    const userId = `fault-${index}`;
    for (const path of [CHAT, MESSAGES, RESPONSES]) {
      gateway.script(reply);
      const answer = await send(userId, path, hello(path));
      const text = await answer.text();
      expect(answer.status).toBe(status);
      expect(text).not.toContain(REAL_KEY);
      expect(answer.headers.get("content-type")).toBe("application/json");
      expect(JSON.parse(text)).toMatchObject({ error: { message: expect.stringMatching(message) } });
      if (path === MESSAGES) expect(JSON.parse(text)).toMatchObject({ type: "error" });
    }
    const { left, audit } = await suite.books(3, userId);
    expect(audit.every(({ outcome }) => outcome !== "ok" && outcome !== "internal")).toBe(true);
    if (reservation === GIVEN_BACK) expect(left.tokens).toBe(DAY_TOKENS);
    else expect(DAY_TOKENS - left.tokens).toBeGreaterThan(3 * 500);
  });
}

test("the endpoint's wish to be asked later is passed on", async () => {
  gateway.script({ kind: "status", status: 429, headers: { "retry-after": "7" } });
  expect((await send("later", CHAT, hello(CHAT))).headers.get("retry-after")).toBe("7");
});

test("a stream that breaks off ends with an error that clients know", async () => {
  for (const [path, ending] of [
    [CHAT, /data: \{"error":\{"message":"The model endpoint's answer could not be read[^\n]*\n\n$/],
    [MESSAGES, /event: error\ndata: \{"type":"error","error":\{"type":"api_error"[^\n]*\n\n$/],
    [RESPONSES, /event: response.failed\ndata: \{"type":"response.failed"[^\n]*"code":"unavailable"[^\n]*\n\n$/],
  ] as const) {
    gateway.script({ kind: "truncated" });
    const answer = await send("broken", path, hello(path, { stream: true }));
    expect(answer.status).toBe(200);
    expect(await answer.text()).toMatch(ending);
  }
});

test("a client that takes nothing of its answer is not waited for", async () => {
  gateway.script({ kind: "text", text: "word ".repeat(2_000_000) });
  const answer = await send("stalled", CHAT, hello(CHAT, { stream: true }));
  expect(answer.status).toBe(200);
  const { audit } = await suite.books(1, "stalled");
  expect(audit).toMatchObject([{ outcome: "timeout" }]);
  await answer.body?.cancel();
});

test("a conversation that is too long for the model is said to be so in the words that agents shorten it on", async () => {
  const body = {
    error: { message: "This model's maximum context length is 8192 tokens.", code: "context_length_exceeded" },
  };
  gateway.script({ kind: "status", status: 400, body }, { kind: "status", status: 400, body });
  const toAnthropic = await send("long", MESSAGES, hello(MESSAGES));
  expect(toAnthropic.status).toBe(400);
  expect(await toAnthropic.text()).toContain("prompt is too long");
  expect(await (await send("long", CHAT, hello(CHAT))).json()).toMatchObject({
    error: { code: "context_length_exceeded" },
  });
});

test("an endpoint that wants the limit by its other name is asked once more, for the same money", async () => {
  const body = { error: { message: "Use 'max_completion_tokens' instead." } };
  gateway.script(
    { kind: "status", status: 400, body },
    { kind: "text", text: "Hello", usage: { prompt_tokens: 9, completion_tokens: 1 } },
  );
  expect((await send("renamed", MESSAGES, hello(MESSAGES))).status).toBe(200);
  expect(gateway.requests.at(-1)?.body).toMatchObject({ max_completion_tokens: 500 });
  expect((await suite.books(1, "renamed")).left.tokens).toBe(DAY_TOKENS - 10);
  gateway.script({ kind: "status", status: 400, body }, { kind: "status", status: 400, body });
  expect((await send("renamed", CHAT, hello(CHAT))).status).toBe(400);
});

test("a server that knows no streams is understood, also by a client that wants one", async () => {
  const usage = { prompt_tokens: 9, completion_tokens: 1 };
  gateway.script({ kind: "text", text: "Hello", ignoresStream: true, usage });
  const answer = await (await send("plain", MESSAGES, hello(MESSAGES, { stream: true }))).text();
  expect(answer).toContain('"text":"Hello"');
  expect(answer).toContain("event: message_stop");
  expect((await suite.books(1, "plain")).left.tokens).toBe(DAY_TOKENS - 10);
});

test("an endpoint that reports more than a call could use is believed, and the day is closed by it", async () => {
  gateway.script({ kind: "text", text: "Hello", usage: { prompt_tokens: 2_000_000, completion_tokens: 1 } });
  expect((await send("excess", CHAT, hello(CHAT))).status).toBe(200);
  expect((await suite.books(1, "excess")).left.tokens).toBe(DAY_TOKENS - 2_000_001);
  expect((await send("excess", CHAT, hello(CHAT))).status).toBe(429);
});

test("an answer that reports nothing counts as the most that it could use", async () => {
  gateway.script({ kind: "text", text: "Hello", usage: undefined });
  expect((await send("mute", CHAT, hello(CHAT))).status).toBe(200);
  expect(DAY_TOKENS - (await suite.books(1, "mute")).left.tokens).toBeGreaterThan(500);
});

/** What clients send that is wrong, and where they are told it is. */
const BAD_INPUT: readonly (readonly [path: string, body: unknown, message: RegExp])[] = [
  [CHAT, "{", /not JSON/],
  [CHAT, [], /The request: /],
  [CHAT, { messages: [] }, /messages: /],
  [CHAT, { messages: [{ content: "Hi" }] }, /messages\.0\.role: /],
  [CHAT, hello(CHAT, { n: 3 }), /n: only one answer is given/],
  [CHAT, hello(CHAT, { max_tokens: -1 }), /max_tokens: /],
  [
    CHAT,
    {
      messages: [
        { role: "user", content: [{ type: "image_url", image_url: { url: "https://evil.example/?stolen" } }] },
      ],
    },
    /messages\.0\.content\.0\.image_url\.url: give the picture itself/,
  ],
  [
    CHAT,
    { messages: [{ role: "user", content: [{ type: "file", file: { file_id: "f" } }] }] },
    /messages\.0\.content\.0/,
  ],
  [CHAT, { messages: [{ role: "user", content: [{ type: "input_audio" }] }] }, /messages\.0\.content\.0/],
  [
    MESSAGES,
    {
      messages: [
        { role: "user", content: [{ type: "image", source: { type: "url", url: "https://evil.example/?stolen" } }] },
      ],
    },
    /messages\.0\.content\.0\.source/,
  ],
  [
    MESSAGES,
    {
      messages: [
        { role: "user", content: [{ type: "document", source: { type: "url", url: "https://evil.example/" } }] },
      ],
    },
    /messages\.0\.content\.0\.source/,
  ],
  [
    MESSAGES,
    {
      messages: [
        {
          role: "user",
          content: [{ type: "image", source: { type: "base64", media_type: "text/html", data: "PGI+" } }],
        },
      ],
    },
    /give the picture itself/,
  ],
  [RESPONSES, {}, /input: /],
  [RESPONSES, hello(RESPONSES, { previous_response_id: "resp_1" }), /previous_response_id: nothing is kept/],
  [
    RESPONSES,
    { input: [{ role: "user", content: [{ type: "input_image", image_url: "https://evil.example/" }] }] },
    /input\.0\.content\.0\.image_url: give the picture itself/,
  ],
  [RESPONSES, { input: [{ type: "item_reference", id: "msg_1" }] }, /nothing is kept/],
];

for (const [index, [path, body, message]] of BAD_INPUT.entries()) {
  test(`what is wrong with a request to ${path} is said with its place: ${message.source}`, async () => {
    const asked = gateway.requests.length;
    const refused = await send(`bad-${index}`, path, body);
    expect(refused.status).toBe(400);
    expect(await refused.json()).toMatchObject({ error: { message: expect.stringMatching(message) } });
    expect(gateway.requests).toHaveLength(asked);
    const { left, audit } = await suite.books(1, `bad-${index}`);
    expect([left.tokens, audit[0]?.outcome]).toEqual([DAY_TOKENS, "invalid_input"]);
  });
}

test("a body over 8 MB is refused as too large", async () => {
  const refused = await send("large", MESSAGES, "x".repeat(9 * 1024 * 1024));
  expect(refused.status).toBe(413);
  expect(await refused.json()).toMatchObject({ type: "error", error: { type: "request_too_large" } });
});

test("what would cost otherwise, keep or fetch something does not reach the endpoint", async () => {
  gateway.script({ kind: "text", text: "Hello" });
  const more = {
    ...{ service_tier: "priority", store: true, web_search_options: {}, plugins: [{ id: "web" }], models: ["dear"] },
    ...{ modalities: ["audio"], audio: {}, user: "somebody", metadata: { a: "b" } },
    tools: [{ type: "web_search" }],
  };
  expect((await send("narrow", CHAT, hello(CHAT, more))).status).toBe(200);
  expect(Object.keys(gateway.requests.at(-1)?.body ?? {}).toSorted()).toEqual([
    "max_tokens",
    "messages",
    "model",
    "stream",
    "stream_options",
    "tools",
  ]);
  expect(gateway.requests.at(-1)?.body.tools).toEqual([]);
});

test("where no endpoint is set clients are told what to set", async () => {
  await using bare = await startInsideModel({});
  for (const path of [CHAT, MESSAGES, RESPONSES]) {
    const refused = await send("bare", path, hello(path), bare);
    expect(refused.status).toBe(503);
    expect(refused.headers.get("x-should-retry")).toBe("false");
    expect(await refused.json()).toMatchObject({ error: { message: expect.stringContaining("MODEL_BASE_URL") } });
  }
});

test("an endpoint that cannot be reached may have been, so the reservation stands", async () => {
  await using lost = await startInsideModel({ MODEL_BASE_URL: "http://127.0.0.1:9", MODEL_DEFAULT: "model" });
  const refused = await send("lost", CHAT, hello(CHAT), lost);
  expect(refused.status).toBe(502);
  expect(await refused.json()).toMatchObject({ error: { message: expect.stringContaining("cannot be reached") } });
  expect((await lost.books(1, "lost")).left.tokens).toBeLessThan(20_000_000 - 500);
});

test("a path that is none is answered with those that there are", async () => {
  const response = await fetch(`${suite.url}/v1/embeddings`, { method: "POST" });
  expect(response.status).toBe(404);
  expect(await response.text()).toContain("POST /chat/completions");
});

test("nothing of what was said or of the key is in the log", () => {
  expect(suite.logs()).toContain("books shown");
  expect(suite.logs()).not.toContain(REAL_KEY);
  expect(suite.logs()).not.toContain("Hello");
});
