import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type InsideModelSuite, startInsideModel } from "../support/inside-model.ts";
import type { ScriptedReply } from "../support/scripted-replies.ts";
import { type TestGateway, startTestGateway } from "../support/test-gateway.ts";

// The SDKs of OpenAI and Anthropic are the judges of whether an answer has the shape of theirs.

const REAL_KEY = "the-real-key";
const PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const USAGE = { prompt_tokens: 90, completion_tokens: 7, prompt_tokens_details: { cached_tokens: 40 } };

let gateway: TestGateway;
let suite: InsideModelSuite;
let anthropic: Anthropic;
let openai: OpenAI;

beforeAll(async () => {
  gateway = await startTestGateway({ key: REAL_KEY });
  suite = await startInsideModel({
    MODEL_BASE_URL: gateway.baseUrl,
    MODEL_API_KEY: REAL_KEY,
    MODEL_DEFAULT: "house-model",
  });
  anthropic = new Anthropic({ baseURL: suite.url, apiKey: "dummy-key" });
  openai = new OpenAI({ baseURL: `${suite.url}/v1`, apiKey: "dummy-key" });
});

afterAll(async () => {
  await suite[Symbol.asyncDispose]();
  await gateway[Symbol.asyncDispose]();
});

const HELLO: ScriptedReply = { kind: "text", text: "Hello, you there.", usage: USAGE };
const TWO_CALLS: ScriptedReply = {
  kind: "calls",
  text: "Let me look.",
  usage: USAGE,
  calls: [
    { name: "look", input: { at: "the sky" }, id: "call_1" },
    { name: "listen", input: {}, id: "call_2" },
  ],
};

/** What the gateway was asked last. */
function lastBody(): Record<string, unknown> {
  const { body, headers } = gateway.requests.at(-1) ?? {};
  expect(headers?.authorization).toBe(`Bearer ${REAL_KEY}`);
  expect(JSON.stringify([body, headers])).not.toContain("dummy-key");
  return { ...body };
}

const ASK: Anthropic.MessageCreateParamsNonStreaming = {
  model: "claude-sonnet-5",
  max_tokens: 1_000,
  messages: [{ role: "user", content: "Hi" }],
};
const ANTHROPIC_TOOLS: Anthropic.ToolUnion[] = [
  { name: "look", description: "Looks", input_schema: { type: "object", properties: { at: { type: "string" } } } },
  { name: "listen", input_schema: { type: "object" } },
];
const ANTHROPIC_USAGE = {
  input_tokens: 50,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 40,
  output_tokens: 7,
};

test("Anthropic's SDK is told a text as it comes, and the same whole", async () => {
  gateway.script(HELLO, HELLO);
  const pieces: string[] = [];
  const streamed = anthropic.messages.stream(ASK).on("text", (piece) => void pieces.push(piece));
  const expected = {
    ...{ type: "message", role: "assistant", model: "house-model" },
    content: [{ type: "text", text: "Hello, you there." }],
    ...{ stop_reason: "end_turn", stop_sequence: null, usage: ANTHROPIC_USAGE },
  };
  expect(await streamed.finalMessage()).toMatchObject(expected);
  expect(pieces.length).toBeGreaterThan(2);
  expect(await anthropic.messages.create(ASK)).toMatchObject(expected);
  expect(lastBody()).toEqual({
    model: "house-model",
    messages: [{ role: "user", content: "Hi" }],
    max_tokens: 1_000,
    stream: true,
    stream_options: { include_usage: true },
    tools: [],
  });
});

test("Anthropic's SDK is told of calls side by side, and what came of them reaches the model", async () => {
  gateway.script(TWO_CALLS, TWO_CALLS, HELLO);
  const ask = {
    ...ASK,
    tools: [...ANTHROPIC_TOOLS, { type: "web_search_20250305" as const, name: "web_search" as const }],
    tool_choice: { type: "any" as const, disable_parallel_tool_use: true },
  };
  const streamed = await anthropic.messages.stream(ask).finalMessage();
  expect(streamed).toMatchObject({
    stop_reason: "tool_use",
    content: [
      { type: "text", text: "Let me look." },
      { type: "tool_use", id: "call_1", name: "look", input: { at: "the sky" } },
      { type: "tool_use", id: "call_2", name: "listen", input: {} },
    ],
  });
  expect((await anthropic.messages.create(ask)).content).toEqual(streamed.content);
  expect(lastBody()).toMatchObject({
    tool_choice: "required",
    parallel_tool_calls: false,
    tools: [
      {
        type: "function",
        function: {
          name: "look",
          description: "Looks",
          parameters: { type: "object", properties: { at: { type: "string" } } },
        },
      },
      { type: "function", function: { name: "listen", parameters: { type: "object" } } },
    ],
  });
  const picture: Anthropic.ImageBlockParam = {
    type: "image",
    source: { type: "base64", media_type: "image/png", data: PICTURE },
  };
  await anthropic.beta.messages.create({
    ...ASK,
    system: [{ type: "text", text: "Be kind.", cache_control: { type: "ephemeral" } }],
    messages: [
      { role: "user", content: [{ type: "text", text: "What is up?" }, picture] },
      {
        role: "assistant",
        content: [{ type: "thinking", thinking: "Hm.", signature: "s" }, ...streamed.content],
      },
      {
        role: "user",
        content: [
          { type: "tool_result", tool_use_id: "call_1", content: [{ type: "text", text: "a bird" }, picture] },
          { type: "tool_result", tool_use_id: "call_2", content: "no ears", is_error: true },
          { type: "text", text: "Go on." },
        ],
      },
    ],
  });
  const shown = { type: "image_url", image_url: { url: `data:image/png;base64,${PICTURE}` } };
  expect(lastBody()["messages"]).toEqual([
    { role: "system", content: "Be kind." },
    { role: "user", content: [{ type: "text", text: "What is up?" }, shown] },
    {
      role: "assistant",
      content: "Let me look.",
      tool_calls: [
        { id: "call_1", type: "function", function: { name: "look", arguments: '{"at":"the sky"}' } },
        { id: "call_2", type: "function", function: { name: "listen", arguments: "{}" } },
      ],
    },
    { role: "tool", tool_call_id: "call_1", content: "a bird" },
    { role: "tool", tool_call_id: "call_2", content: "Error: no ears" },
    { role: "user", content: [shown, { type: "text", text: "Go on." }] },
  ]);
});

test("Anthropic's SDK hears why an answer ended", async () => {
  for (const [finishReason, reason] of [
    ["length", "max_tokens"],
    ["content_filter", "refusal"],
  ] as const) {
    gateway.script({ ...HELLO, kind: "text", text: "Hell", finishReason });
    expect((await anthropic.messages.create(ASK)).stop_reason).toBe(reason);
  }
});

test("Anthropic's SDK counts tokens before it asks, lists models, and looks one up", async () => {
  const { input_tokens: few } = await anthropic.messages.countTokens({ ...ASK, tools: ANTHROPIC_TOOLS });
  const { input_tokens: many } = await anthropic.messages.countTokens({
    ...ASK,
    messages: [{ role: "user", content: "word ".repeat(1_000) }],
  });
  expect(few).toBeGreaterThan(20);
  expect(many).toBeGreaterThan(1_000);
  expect(many).toBeLessThan(2_500);
  const { data } = await anthropic.models.list();
  expect(data).toMatchObject([{ type: "model", id: "house-model", display_name: "house-model" }]);
  expect(await anthropic.models.retrieve("claude-sonnet-5")).toMatchObject({ type: "model", id: "claude-sonnet-5" });
});

const QUESTION: OpenAI.ChatCompletionMessageParam[] = [{ role: "user", content: "Hi" }];
const OPENAI_TOOLS: OpenAI.ChatCompletionFunctionTool[] = [
  { type: "function", function: { name: "look", parameters: { type: "object", properties: {} } } },
];
const OPENAI_CALLS = [
  { id: "call_1", type: "function", function: { name: "look", arguments: '{"at":"the sky"}' } },
  { id: "call_2", type: "function", function: { name: "listen", arguments: "{}" } },
];

test("OpenAI's SDK is told a text as it comes, and the same whole, with what it used where it asks", async () => {
  gateway.script(HELLO, HELLO, HELLO);
  const ask = { model: "gpt-6-sol", messages: QUESTION, temperature: 0.5, max_completion_tokens: 900 };
  const streamed = await openai.chat.completions.stream(ask).finalChatCompletion();
  expect(streamed.usage).toBeUndefined();
  expect(streamed.choices).toMatchObject([{ message: { content: "Hello, you there." }, finish_reason: "stop" }]);
  const counted = openai.chat.completions.stream({ ...ask, stream_options: { include_usage: true } });
  expect((await counted.finalChatCompletion()).usage).toMatchObject(USAGE);
  const whole = await openai.chat.completions.create(ask);
  expect(whole).toMatchObject({
    ...{ object: "chat.completion", model: "house-model", usage: USAGE },
    choices: [{ index: 0, message: { role: "assistant", content: "Hello, you there." }, finish_reason: "stop" }],
  });
  expect(lastBody()).toEqual({
    ...{ model: "house-model", messages: QUESTION, temperature: 0.5, max_completion_tokens: 900, tools: [] },
    ...{ stream: true, stream_options: { include_usage: true } },
  });
});

test("OpenAI's SDK is told of calls side by side, as they come and whole", async () => {
  gateway.script(TWO_CALLS, TWO_CALLS);
  const ask = { model: "house-model", messages: QUESTION, tools: OPENAI_TOOLS, tool_choice: "required" as const };
  const streamed = await openai.chat.completions.stream(ask).finalChatCompletion();
  expect(streamed.choices[0]?.message.tool_calls).toMatchObject(OPENAI_CALLS);
  expect(lastBody()).toMatchObject({ tools: OPENAI_TOOLS, tool_choice: "required" });
  const whole = await openai.chat.completions.create(ask);
  expect(whole.choices[0]).toMatchObject({
    finish_reason: "tool_calls",
    message: { content: "Let me look.", tool_calls: OPENAI_CALLS },
  });
});

test("OpenAI's SDK lists models and looks one up, also below the paths that other base URLs have", async () => {
  for (const path of ["/v1", "/openai/v1", "/openai", ""]) {
    const { models } = new OpenAI({ baseURL: suite.url + path, apiKey: "x", maxRetries: 0 });
    const shown = { object: "model", created: 0, owned_by: "pincer" };
    expect((await models.list()).data).toEqual([{ id: "house-model", ...shown }]);
    expect(await models.retrieve("anthropic/claude-opus-4.8")).toEqual({ id: "anthropic/claude-opus-4.8", ...shown });
    await expect(models.retrieve("no name")).rejects.toMatchObject({ status: 400 });
  }
});

test("OpenAI's SDK is told a response as it comes, and the same whole", async () => {
  gateway.script(HELLO, HELLO);
  const ask = { model: "gpt-6-sol", instructions: "Be kind.", input: "Hi", max_output_tokens: 700 };
  const pieces: string[] = [];
  const stream = openai.responses.stream(ask).on("response.output_text.delta", ({ delta }) => void pieces.push(delta));
  const streamed = await stream.finalResponse();
  expect(pieces.join("")).toBe("Hello, you there.");
  expect(streamed.output_text).toBe("Hello, you there.");
  const expected = {
    ...{ object: "response", status: "completed", model: "house-model" },
    output: [
      {
        ...{ type: "message", role: "assistant", status: "completed" },
        content: [{ type: "output_text", text: "Hello, you there." }],
      },
    ],
    usage: { input_tokens: 90, input_tokens_details: { cached_tokens: 40 }, output_tokens: 7, total_tokens: 97 },
  };
  expect(streamed).toMatchObject(expected);
  expect(await openai.responses.create(ask)).toMatchObject(expected);
  expect(lastBody()).toEqual({
    model: "house-model",
    messages: [
      { role: "system", content: "Be kind." },
      { role: "user", content: "Hi" },
    ],
    ...{ max_tokens: 700, tools: [], stream: true, stream_options: { include_usage: true } },
  });
});

test("a response's tools keep their groups and kinds, and what came of them reaches the model", async () => {
  const reply: ScriptedReply = {
    kind: "calls",
    calls: [
      { name: "mcp__look", input: { at: "the sky" }, id: "call_1" },
      { name: "apply_patch", input: { input: "*** Begin" }, id: "call_2" },
    ],
    usage: USAGE,
  };
  gateway.script(reply, reply, HELLO);
  const tools: OpenAI.Responses.Tool[] = [
    {
      ...{ type: "namespace", name: "mcp", description: "Tools" },
      tools: [{ type: "function", name: "look", parameters: { type: "object", properties: {} } }],
    },
    { type: "custom", name: "apply_patch", description: "Patches" },
    { type: "web_search" },
  ];
  const ask = { model: "house-model", input: "Hi", tools };
  const streamed = await openai.responses.stream(ask).finalResponse();
  const calls: OpenAI.Responses.ResponseInputItem[] = [
    { type: "function_call", call_id: "call_1", name: "look", namespace: "mcp", arguments: '{"at":"the sky"}' },
    { type: "custom_tool_call", call_id: "call_2", name: "apply_patch", input: "*** Begin" },
  ];
  expect(streamed.output).toMatchObject(calls);
  const whole = await openai.responses.create(ask);
  expect(whole.output).toMatchObject(calls);
  expect(lastBody()["tools"]).toMatchObject([
    { type: "function", function: { name: "mcp__look" } },
    { type: "function", function: { name: "apply_patch", parameters: { required: ["input"] } } },
  ]);
  const picture = `data:image/png;base64,${PICTURE}`;
  await openai.responses.create({
    ...ask,
    input: [
      { type: "message", role: "developer", content: [{ type: "input_text", text: "Be brief." }] },
      {
        role: "user",
        content: [
          { type: "input_text", text: "Hi" },
          { type: "input_image", image_url: picture, detail: "low" },
        ],
      },
      { type: "reasoning", id: "rs_1", summary: [] },
      ...calls,
      { type: "function_call_output", call_id: "call_1", output: [{ type: "input_image", image_url: picture }] },
      { type: "custom_tool_call_output", call_id: "call_2", output: "patched" },
      { role: "user", content: "Go on." },
    ],
  });
  const shown = { type: "image_url", image_url: { url: picture } };
  expect(lastBody()["messages"]).toEqual([
    { role: "system", content: "Be brief." },
    {
      role: "user",
      content: [
        { type: "text", text: "Hi" },
        { type: "image_url", image_url: { url: picture, detail: "low" } },
      ],
    },
    {
      role: "assistant",
      content: null,
      tool_calls: [
        { id: "call_1", type: "function", function: { name: "mcp__look", arguments: '{"at":"the sky"}' } },
        { id: "call_2", type: "function", function: { name: "apply_patch", arguments: '{"input":"*** Begin"}' } },
      ],
    },
    { role: "tool", tool_call_id: "call_1", content: "The picture follows." },
    { role: "tool", tool_call_id: "call_2", content: "patched" },
    { role: "user", content: [shown] },
    { role: "user", content: "Go on." },
  ]);
});
