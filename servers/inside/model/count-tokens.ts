import { modelEndpoint } from "../../delegate/model/endpoint.ts";
import { countedByAnthropic } from "./anthropic-count.ts";
import { readAsked } from "./ask-schema.ts";
import { type InsideModels, requestLabels } from "./ask.ts";
import { picturesIn } from "./chat-question.ts";
import { messagesAsChat } from "./messages-request.ts";
import { type MessagesRequest, messagesRequest } from "./messages-schema.ts";
import { MESSAGES } from "./messages.ts";
import { nativeRequest } from "./native-request.ts";
import { type ModelVisit, recorded } from "./recorded.ts";
import { mostInputTokens } from "./request-size.ts";
import { modelFor } from "./which-model.ts";

/** Agents ask in order to know when a conversation grows too long. */
export async function countTokens(visit: ModelVisit, models: InsideModels): Promise<Response> {
  let tokens = 0;
  const refused = await recorded("model/count_tokens", MESSAGES.refuse, visit, async (body) => {
    const asked = readAsked(messagesRequest, body);
    tokens = (await countedNatively(asked, body, visit, models)) ?? estimated(asked);
    return 0;
  });
  return refused ?? Response.json({ input_tokens: tokens });
}

/** `undefined` where another model is asked, where nothing is counted, and where that fails. */
async function countedNatively(
  asked: MessagesRequest,
  body: unknown,
  { request, pipeline }: ModelVisit,
  { settings, fetcher }: InsideModels,
): Promise<number | undefined> {
  const { messages } = modelEndpoint(settings, requestLabels(pipeline.caller, `count-${crypto.randomUUID()}`)) ?? {};
  const model = messages?.nameOf(modelFor(asked.model ?? undefined, settings));
  if (messages === undefined || model === undefined) return undefined;
  const counting = { native: { model, ...nativeRequest(asked, body) }, asked, headers: request.headers };
  const asking = { fetcher, signal: request.signal };
  return await countedByAnthropic(counting, messages, asking).catch(() => undefined);
}

/** Most texts have fewer tokens. */
const BYTES_PER_TOKEN = 3;

function estimated(asked: MessagesRequest): number {
  const chat = messagesAsChat(asked);
  return Math.ceil(mostInputTokens(JSON.stringify(chat), picturesIn(chat)) / BYTES_PER_TOKEN);
}
