import { OpenAICompatibleChatLanguageModel } from "@ai-sdk/openai-compatible";
import { parseJson } from "../../shared/parse-json.ts";

/** A row holds the whole reply, or the result of it with two bytes to a character, and SQLite rows end at 2 MB. */
const MAX_REPLY_BYTES = 768 * 1024;
/** More are a mistake or an attack, and each would be read again at every step. */
const MAX_REPLY_CALLS = 128;

/** As much of a model as `generateText` uses. */
type AskedModel = Pick<
  OpenAICompatibleChatLanguageModel,
  "specificationVersion" | "provider" | "modelId" | "supportedUrls" | "doGenerate" | "doStream"
>;
type CallOptions = Parameters<OpenAICompatibleChatLanguageModel["doStream"]>[0];
type Parts = Awaited<ReturnType<OpenAICompatibleChatLanguageModel["doStream"]>>["stream"];
type Answer = Awaited<ReturnType<OpenAICompatibleChatLanguageModel["doGenerate"]>>;
type Content = Answer["content"][number];

/**
 * Asks for its answers as streams, lest a proxy takes a model that thinks for a dead one, and hands them over whole:
 * what breaks off, holds an error or ends without saying why rejects.
 */
export class StreamedModel extends OpenAICompatibleChatLanguageModel {
  /** The same model for one call, whose signal is told right before it asks. */
  asked(onCall: (signal: AbortSignal) => void): AskedModel {
    const { specificationVersion, provider, modelId, supportedUrls } = this;
    return {
      ...{ specificationVersion, provider, modelId, supportedUrls },
      doGenerate: async (options) => {
        const signal = options.abortSignal ?? new AbortController().signal;
        onCall(signal);
        return await this.doGenerate({ ...options, abortSignal: signal });
      },
      doStream: async (options) => await this.doStream(options),
    };
  }

  override async doGenerate(options: CallOptions): Promise<Answer> {
    const { stream, request, response } = await this.doStream(options);
    const answer = await collect(stream);
    return {
      ...answer,
      warnings: [],
      ...(request === undefined ? {} : { request }),
      response: { ...answer.response, ...response },
    };
  }
}

async function collect(stream: Parts): Promise<Omit<Answer, "warnings">> {
  const content: Content[] = [];
  let written = "";
  let response: Answer["response"] = {};
  for await (const part of stream) {
    if (part.type === "error") throw new Error("The stream holds an error.", { cause: part.error });
    if (part.type === "finish") return { ...part, response, content: keepWhole(content, part.finishReason.unified) };
    if (part.type === "response-metadata") response = { ...part };
    if (part.type === "tool-call") content.push(part);
    if (part.type === "text-delta" || part.type === "reasoning-delta") written += part.delta;
    if (part.type === "text-end" || part.type === "reasoning-end") {
      content.push({ type: part.type === "text-end" ? "text" : "reasoning", text: written });
      written = "";
    }
  }
  throw new Error("The stream broke off.");
}

/** An answer that was cut off for its length has no calls that were cut off with it: they could do something else. */
function keepWhole(content: Content[], finishReason: string): Content[] {
  if (new TextEncoder().encode(JSON.stringify(content)).length > MAX_REPLY_BYTES) {
    throw new Error("The answer is too long.");
  }
  if (content.filter(({ type }) => type === "tool-call").length > MAX_REPLY_CALLS) {
    throw new Error("The answer holds too many calls.");
  }
  return finishReason === "length"
    ? content.filter((part) => part.type !== "tool-call" || parseJson(part.input) !== undefined)
    : content;
}
