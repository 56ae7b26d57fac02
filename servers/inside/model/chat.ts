import * as z from "zod";
import { modelName, pictureUrl, present, readAsked } from "./ask-schema.ts";
import { chatQuestion } from "./chat-question.ts";
import type { Chunk, ChunkWriter } from "./chunks.ts";
import { assembledCompletion } from "./completion.ts";
import { openAiError } from "./openai-error.ts";
import type { Dialect, StreamEvent } from "./dialect.ts";

const part = z.discriminatedUnion("type", [
  z.looseObject({ type: z.literal("text"), text: z.string() }),
  z.looseObject({ type: z.literal("refusal"), refusal: z.string() }),
  z.looseObject({
    type: z.literal("image_url"),
    image_url: z.object({ url: pictureUrl, detail: z.string().optional() }),
  }),
]);

const message = z.looseObject({
  role: z.string(),
  content: z.union([z.string(), z.array(part)]).nullish(),
});

const limit = z.int().min(1).nullish();
const tool = z.looseObject({ type: z.string() });

/**
 * What is passed on. The rest is left out: it is billed otherwise than by tokens (tiers, searches, audio), or makes the
 * provider keep or fetch something.
 */
const chatRequest = z.object({
  model: modelName.nullish(),
  messages: z.array(message).min(1),
  n: z.literal(1, "only one answer is given; leave n out").nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
  max_tokens: limit,
  max_completion_tokens: limit,
  tools: z.array(tool).nullish(),
  tool_choice: z.unknown().optional(),
  parallel_tool_calls: z.boolean().nullish(),
  temperature: z.number().nullish(),
  top_p: z.number().nullish(),
  top_k: z.number().nullish(),
  min_p: z.number().nullish(),
  stop: z.union([z.string(), z.array(z.string())]).nullish(),
  seed: z.int().nullish(),
  presence_penalty: z.number().nullish(),
  frequency_penalty: z.number().nullish(),
  logit_bias: z.record(z.string(), z.number()).nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().nullish(),
  response_format: z.looseObject({ type: z.string() }).nullish(),
  reasoning_effort: z.string().nullish(),
  verbosity: z.string().nullish(),
  prompt_cache_key: z.string().nullish(),
  chat_template_kwargs: z.record(z.string(), z.unknown()).nullish(),
});

/** OpenAI's chat completions: requests and answers pass nearly as they are. */
export const CHAT: Dialect = {
  name: "model/chat",
  read: (body) => {
    const {
      model,
      stream,
      stream_options,
      n: _,
      max_tokens,
      max_completion_tokens,
      ...rest
    } = readAsked(chatRequest, body);
    const maxTokens = Math.min(max_tokens ?? Infinity, max_completion_tokens ?? Infinity);
    const asked = {
      chat: { ...withOwnTools(present(rest)), messages: rest.messages },
      ...(max_completion_tokens ? { limitField: "max_completion_tokens" as const } : {}),
      answer: (named: string) => writeChat(named, stream === true, stream_options?.include_usage === true),
    };
    return {
      ...(model ? { model } : {}),
      isStream: stream === true,
      ...(maxTokens === Infinity ? {} : { maxTokens }),
      question: (endpoint, named) => chatQuestion(asked, endpoint, named),
    };
  },
  refuse: openAiError,
};

/** Tools that the client runs itself; those that a provider runs search the web, or cost something of their own. */
function withOwnTools(asked: Record<string, unknown> & { tools?: z.output<typeof tool>[] }): Record<string, unknown> {
  const { tools = [], tool_choice, parallel_tool_calls, ...rest } = asked;
  const own = tools.filter(({ type }) => type === "function");
  return own.length === 0 ? rest : { ...rest, tools: own, ...present({ tool_choice, parallel_tool_calls }) };
}

const DONE: StreamEvent = { data: "[DONE]" };

function writeChat(model: string, isStream: boolean, wantsUsage: boolean): ChunkWriter {
  const chunks: Chunk[] = [];
  let last: Chunk | undefined;
  let usage: unknown;
  return {
    take: (chunk) => {
      if (!isStream) chunks.push(chunk);
      const { usage: told, ...said } = chunk;
      usage = told ?? usage;
      last = chunk;
      return chunk.choices.length === 0 ? [] : [{ data: said }];
    },
    end: () => [...(wantsUsage && usage !== undefined ? [{ data: { ...last, choices: [], usage } }] : []), DONE],
    fail: (refusal) => [{ data: openAiError(refusal) }],
    whole: () => assembledCompletion(chunks, usage, model),
  };
}
