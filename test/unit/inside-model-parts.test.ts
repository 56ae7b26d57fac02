import { expect, test } from "vitest";
import { Blocks, type Piece } from "../../servers/inside/model/blocks.ts";
import type { CallDelta, Chunk } from "../../servers/inside/model/chunks.ts";
import { MessageWriter } from "../../servers/inside/model/messages-answer.ts";
import { NativeAnswer } from "../../servers/inside/model/native-answer.ts";
import { modelFor } from "../../servers/inside/model/which-model.ts";

function says(delta: { readonly content?: string; readonly tool_calls?: CallDelta[] }, end?: string): Chunk {
  return { choices: [{ delta, finish_reason: end ?? null }] };
}

function call(index: number | null, args: string, begun: { id?: string; name?: string } = {}): CallDelta {
  const { id, name } = begun;
  return { ...(index === null ? {} : { index }), id: id ?? null, function: { name: name ?? null, arguments: args } };
}

/** The pieces in a line: `+0` begins a block, `0:text` goes on with it, `-0` ends it. */
function told(chunks: readonly Chunk[]): { readonly pieces: string; readonly calls: readonly string[] } {
  const blocks = new Blocks();
  const pieces: Piece[] = [...chunks.flatMap((chunk) => blocks.take(chunk)), ...blocks.end()];
  return {
    pieces: pieces
      .map((piece) =>
        piece.kind === "more"
          ? `${piece.block.index}:${piece.text}`
          : `${piece.kind === "begin" ? "+" : "-"}${piece.block.index}`,
      )
      .join(" "),
    calls: blocks.all.flatMap((block) =>
      block.type === "call" ? [`${block.call.name}(${block.call.arguments})`] : [],
    ),
  };
}

test("a text and the call after it follow each other as they come", () => {
  const chunks = [
    says({ content: "Let " }),
    says({ content: "me" }),
    says({ tool_calls: [call(0, "", { id: "a", name: "look" })] }),
    says({ tool_calls: [call(0, "{}")] }, "tool_calls"),
  ];
  expect(told(chunks)).toEqual({ pieces: "+0 0:Let  0:me -0 +1 1:{} -1", calls: ["look({})"] });
});

test("calls whose pieces come mixed, and a text among them, are told one after the other", () => {
  const chunks = [
    says({ tool_calls: [call(0, '{"a"', { id: "a", name: "look" }), call(1, '{"b"', { id: "b", name: "hear" })] }),
    says({ content: "meanwhile" }),
    says({ tool_calls: [call(1, ":2}"), call(0, ":1}")] }, "tool_calls"),
  ];
  expect(told(chunks)).toEqual({
    pieces: '+0 0:{"a" 0::1} -0 +1 1:{"b":2} -1 +2 2:meanwhile -2',
    calls: ['look({"a":1})', 'hear({"b":2})'],
  });
});

test("calls that an endpoint all gives the same index are told apart by their ids, or by their places", () => {
  const same = [
    says({ tool_calls: [call(0, "{}", { id: "a", name: "look" })] }),
    says({ tool_calls: [call(0, "{}", { id: "b", name: "hear" })] }, "stop"),
  ];
  const none = [says({ tool_calls: [call(null, "{}", { name: "look" }), call(null, "{}", { name: "hear" })] }, "stop")];
  for (const chunks of [same, none]) expect(told(chunks).calls).toEqual(["look({})", "hear({})"]);
});

test("a call each of whose pieces has another id is one", () => {
  const chunks = [
    says({ tool_calls: [call(0, '{"a"', { id: "a", name: "look" })] }),
    says({ tool_calls: [call(0, ":1}", { id: "b" })] }, "tool_calls"),
  ];
  expect(told(chunks).calls).toEqual(['look({"a":1})']);
});

test("an answer that is cut off has no later calls that were cut off with it", () => {
  const chunks = [
    says({
      tool_calls: [call(0, "{}", { id: "a", name: "look" }), call(1, '{"path": "/', { id: "b", name: "remove" })],
    }),
    says({}, "length"),
  ];
  expect(told(chunks).calls).toEqual(["look({})"]);
});

test("a call whose arguments are no JSON is a call without any", () => {
  const writer = new MessageWriter("model");
  writer.take(says({ tool_calls: [call(0, "look up", { id: "a", name: "look" })] }, "tool_calls"));
  writer.end(undefined);
  expect(writer.whole()).toMatchObject({ content: [{ type: "tool_use", id: "a", name: "look", input: {} }] });
});

test("an endpoint that tells very many things has them put together in no time", () => {
  const many = 20_000;
  const fields = (name: string): object =>
    Object.fromEntries(Array.from({ length: many }, (_, at) => [`${name}${at}`, at]));
  const one = { type: "content_block_delta", index: 0, delta: { type: "citations_delta", citation: {} } };
  const end = { type: "message_delta", delta: {}, usage: { output_tokens: 1 } };
  const events = [
    { type: "message_start", message: { id: "m", model: "model", ...fields("a"), usage: fields("b") } },
    { type: "content_block_start", index: 0, content_block: { type: "text", text: "", citations: null } },
    ...Array.from({ length: many }, () => one),
    ...Array.from({ length: many }, () => end),
  ];
  const answer = new NativeAnswer(false, false);
  for (const event of events) answer.take(JSON.stringify(event), false);
  const told = JSON.stringify(answer.whole());
  expect(told).toContain(`"b${many - 1}":${many - 1},"output_tokens":1}`);
  expect(told.match(/\{\}/g)).toHaveLength(many);
});

const GATEWAY = { MODEL_DEFAULT: "workers-ai/@cf/a/b", MODEL_FALLBACKS: ["claude-mine"], MODEL_PRICES: {} };
const PRICED = { MODEL_PRICES: { "gpt-6-sol": { input: 1, output: 2 }, "o5-mini": { input: 1, output: 2 } } };
const compat = { ...GATEWAY, MODEL_BASE_URL: undefined, AI_GATEWAY_API: "compat" } as const;
const rest = { ...GATEWAY, MODEL_BASE_URL: undefined, AI_GATEWAY_API: "rest" } as const;
const at = (baseUrl: string) =>
  ({ ...GATEWAY, MODEL_DEFAULT: "own", MODEL_BASE_URL: baseUrl, AI_GATEWAY_API: "compat" }) as const;
const OLLAMA = at("http://127.0.0.1:11434/v1");
const OPENAI = at("https://api.openai.com/v1");

test.each([
  ["the default, where none is named", undefined, compat, "workers-ai/@cf/a/b"],
  ["one that the settings name, as it is", "claude-mine", compat, "claude-mine"],
  ["Anthropic's at AI Gateway", "claude-sonnet-5-20260929", compat, "anthropic/claude-sonnet-5-20260929"],
  ["OpenAI's at AI Gateway", "gpt-6-sol", rest, "openai/gpt-6-sol"],
  ["Google's by the name of that form", "gemini-3.5-flash", compat, "google-ai-studio/gemini-3.5-flash"],
  ["Google's by the name of the other form", "gemini-3.5-flash", rest, "google/gemini-3.5-flash"],
  ["Cloudflare's own by the name of that form", "@cf/openai/gpt-oss-20b", compat, "workers-ai/@cf/openai/gpt-oss-20b"],
  ["a route, as it is", "dynamic/mine", compat, "dynamic/mine"],
  ["the default at AI Gateway, for a name of nobody's", "house", compat, "workers-ai/@cf/a/b"],
  ["a model of a provider, at that provider", "gpt-6-sol", OPENAI, "gpt-6-sol"],
  ["the default at a provider, for another's model", "claude-sonnet-5", OPENAI, "own"],
  ["OpenAI's at AI Gateway, whatever name has a price", "gpt-6-sol", { ...compat, ...PRICED }, "openai/gpt-6-sol"],
  ["a priced name of nobody's, as it is", "o5-mini", { ...compat, ...PRICED }, "o5-mini"],
  ["a priced model at a server of one's own, as it is", "gpt-6-sol", { ...OLLAMA, ...PRICED }, "gpt-6-sol"],
  ["any name at a server of one's own", "qwen3:8b", OLLAMA, "qwen3:8b"],
  ["the default at a server of one's own, for a provider's model", "claude-sonnet-5", OLLAMA, "own"],
] as const)("a client is answered by %s", (_, named, settings, model) => {
  const { MODEL_BASE_URL, ...others } = settings;
  expect(modelFor(named, { ...others, MODEL_FALLBACKS: [...others.MODEL_FALLBACKS], MODEL_BASE_URL })).toBe(model);
});

test("where there is neither a model nor a default the client is told to name one", () => {
  const settings = {
    MODEL_FALLBACKS: [],
    MODEL_PRICES: {},
    MODEL_DEFAULT: undefined,
    AI_GATEWAY_API: "compat",
  } as const;
  const none = { ...settings, MODEL_FALLBACKS: [], MODEL_BASE_URL: undefined };
  expect(() => modelFor(undefined, none)).toThrow("No model is named, and no MODEL_DEFAULT is set");
  expect(() => modelFor("house", none)).toThrow('The endpoint has no "house", and no MODEL_DEFAULT is set');
});
