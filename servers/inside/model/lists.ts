import { anthropicError } from "./anthropic-error.ts";
import { readAsked } from "./ask-schema.ts";
import type { InsideModels } from "./ask.ts";
import { picturesIn } from "./chat-question.ts";
import { messagesAsChat } from "./messages-request.ts";
import { messagesRequest } from "./messages-schema.ts";
import { MESSAGES } from "./messages.ts";
import { openAiError } from "./openai-error.ts";
import { type ModelVisit, recorded } from "./recorded.ts";
import { mostInputTokens } from "./request-size.ts";
import { ownModels } from "./which-model.ts";

/** The models that the settings name, in the shape of whoever asks; others may be named all the same. */
export async function listModels(visit: ModelVisit, { settings }: InsideModels): Promise<Response> {
  const isAnthropic = visit.request.headers.has("anthropic-version");
  const names = ownModels(settings);
  const list = isAnthropic
    ? {
        data: names.map((id) => ({ type: "model", id, display_name: id, created_at: "1970-01-01T00:00:00Z" })),
        ...{ has_more: false, first_id: names[0] ?? null, last_id: names.at(-1) ?? null },
      }
    : { object: "list", data: names.map((id) => ({ id, object: "model", created: 0, owned_by: "pincer" })) };
  const refuse = isAnthropic ? anthropicError : openAiError;
  const refused = await recorded("model/models", refuse, visit, async () => JSON.stringify(list).length);
  return refused ?? Response.json(list);
}

/** Most texts have fewer tokens: agents ask in order to know when a conversation grows too long. */
const BYTES_PER_TOKEN = 3;

export async function countTokens(visit: ModelVisit): Promise<Response> {
  let tokens = 0;
  const refused = await recorded("model/count_tokens", MESSAGES.refuse, visit, async (body) => {
    const chat = messagesAsChat(readAsked(messagesRequest, body));
    tokens = Math.ceil(mostInputTokens(JSON.stringify(chat), picturesIn(chat)) / BYTES_PER_TOKEN);
    return 0;
  });
  return refused ?? Response.json({ input_tokens: tokens });
}
