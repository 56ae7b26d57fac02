import { afterAll, beforeAll, expect, test } from "vitest";
import { type InsideModelSuite, startInsideModel } from "../support/inside-model.ts";
import { type AnthropicReply, startTestAnthropic } from "../support/test-anthropic.ts";

const DAY_TOKENS = 100_000;
const GATEWAY = {
  ...{ AI_GATEWAY_ACCOUNT_ID: "account", AI_GATEWAY_ID: "gateway", AI_GATEWAY_TOKEN: "gateway-token" },
  ...{ DELEGATE_DAILY_TOKENS: String(DAY_TOKENS), DELEGATE_DAILY_USD: "100" },
};
/** Longer than the day has tokens: its bytes are no measure. */
const PDF = {
  type: "document",
  source: { type: "base64", media_type: "application/pdf", data: "JVBERi0x".repeat(20_000) },
  title: "A book",
};
const HELLO = { type: "text", text: "Hello" };
const READ = { role: "assistant", content: [{ type: "tool_use", id: "t", name: "read", input: {} }] };
const ASK = {
  ...{ model: "claude-sonnet-5", max_tokens: 500 },
  messages: [
    { role: "user", content: [PDF, { type: "text", text: "What is in it?" }] },
    READ,
    { role: "user", content: [{ type: "tool_result", tool_use_id: "t", content: [PDF] }] },
  ],
};

let endpoint: Awaited<ReturnType<typeof startTestAnthropic>>;
let suite: InsideModelSuite;

beforeAll(async () => {
  endpoint = await startTestAnthropic();
  suite = await startInsideModel({ ...GATEWAY, AI_GATEWAY_BASE_URL: endpoint.compatUrl });
});

afterAll(async () => {
  await suite[Symbol.asyncDispose]();
  await endpoint[Symbol.asyncDispose]();
});

interface Way {
  readonly to?: InsideModelSuite;
  readonly path?: string;
  readonly replies?: readonly AnthropicReply[];
}

/** Sends it, and tells what came back and where the endpoint was asked. */
async function send(
  userId: string,
  body: object,
  { to = suite, path = "/v1/messages", replies = [] }: Way = {},
): Promise<{ status: number; answer: unknown; asked: (string | undefined)[] }> {
  const before = endpoint.requests.length;
  endpoint.script(...replies);
  const headers = { "x-test-user": userId };
  const response = await fetch(`${to.url}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  const answer: unknown = await response.json();
  const asked = endpoint.requests.slice(before).map((each) => each.path.split("/v1/").at(-1));
  return { status: response.status, answer, asked };
}

/** Of its day. */
async function spentBy(userId: string, to = suite): Promise<number> {
  return DAY_TOKENS - (await to.books(1, userId)).left.tokens;
}

test("a PDF reaches Anthropic as it came, with what Anthropic counts of the request set aside", async () => {
  const sent = await send("reads", ASK, { replies: [{ tokens: 40_000 }, { content: [HELLO] }] });
  expect(sent).toMatchObject({ status: 200, answer: { content: [HELLO] } });
  expect(sent.asked).toEqual(["messages/count_tokens", "messages"]);
  const [counted, asked] = endpoint.requests.slice(-2);
  expect(asked?.body.messages).toEqual(ASK.messages);
  expect(counted?.body).toEqual({ model: "claude-sonnet-5", messages: ASK.messages });
  expect(await spentBy("reads")).toBe(15);
  // What breaks off counts as all that was set aside.
  expect((await send("breaks", ASK, { replies: [{ tokens: 40_000 }, { events: [] }] })).status).toBe(502);
  const reserved = await spentBy("breaks");
  expect(reserved).toBeGreaterThan(44_000 + 500);
  expect(reserved).toBeLessThan(50_000);
});

test("a PDF for which the day has no room is counted and not sent", async () => {
  const sent = await send("poor", ASK, { replies: [{ tokens: DAY_TOKENS }] });
  expect(sent).toMatchObject({ status: 429, asked: ["messages/count_tokens"] });
  expect(await spentBy("poor")).toBe(0);
});

test.each<[string, AnthropicReply, number, RegExp]>([
  [
    "finds invalid",
    { status: 400, body: { error: { message: "The PDF specified was not valid." } } },
    400,
    /status 400/,
  ],
  ["has no room to count", { status: 529 }, 502, /try again/],
  ["answers with something else", { raw: "<html>", contentType: "text/html" }, 502, /try again/],
])("a PDF that Anthropic %s is not sent, and costs nothing", async (what, reply, status, message) => {
  const sent = await send(what, ASK, { replies: [reply] });
  expect(sent).toMatchObject({ status, asked: ["messages/count_tokens"] });
  expect(sent.answer).toMatchObject({ type: "error", error: { message: expect.stringMatching(message) } });
  expect(await spentBy(what)).toBe(0);
});

test("a PDF that nobody would count is refused with what to send in its place", async () => {
  await using rest = await startInsideModel({
    ...GATEWAY,
    ...{ AI_GATEWAY_API: "rest", AI_GATEWAY_BASE_URL: endpoint.restUrl },
  });
  const refused = { status: 400, asked: [], answer: { error: { message: expect.stringMatching(/pdftotext/) } } };
  expect(await send("rest", ASK, { to: rest })).toMatchObject(refused);
  expect(await send("other-model", { ...ASK, model: "gpt-6-sol" })).toMatchObject(refused);
  expect(await spentBy("rest", rest)).toBe(0);
  expect(await spentBy("other-model")).toBe(0);
});

test("a client that asks for the tokens of a PDF is told Anthropic's count, or why there is none", async () => {
  const path = "/v1/messages/count_tokens";
  const { max_tokens: _, ...ask } = ASK;
  expect((await send("counts", ask, { path, replies: [{ tokens: 40_000 }] })).answer).toEqual({ input_tokens: 40_000 });
  const refused = await send("counts", { ...ask, model: "gpt-6-sol" }, { path });
  expect(refused).toMatchObject({ status: 400, answer: { error: { message: expect.stringMatching(/pdftotext/) } } });
});
