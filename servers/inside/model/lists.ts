import { anthropicError } from "./anthropic-error.ts";
import type { InsideModels } from "./ask.ts";
import { openAiError } from "./openai-error.ts";
import { type ModelVisit, recorded } from "./recorded.ts";
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
