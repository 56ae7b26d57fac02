import { anthropicError } from "./anthropic-error.ts";
import { modelName, readAsked } from "./ask-schema.ts";
import type { InsideModels } from "./ask.ts";
import { openAiError } from "./openai-error.ts";
import { type ModelVisit, recorded } from "./recorded.ts";
import { ownModels } from "./which-model.ts";

/** The models that the settings name, in the shape of whoever asks; others may be named all the same. */
export async function listModels(visit: ModelVisit, { settings }: InsideModels): Promise<Response> {
  const names = ownModels(settings);
  const data = names.map((id) => described(id, visit));
  const list = isAnthropic(visit)
    ? { data, has_more: false, first_id: names[0] ?? null, last_id: names.at(-1) ?? null }
    : { object: "list", data };
  return await told(visit, () => list);
}

/** One model by its name, whichever it is: some clients look before they ask. */
export async function showModel(visit: ModelVisit): Promise<Response> {
  const { pathname } = new URL(visit.request.url);
  return await told(visit, () => described(readAsked(modelName, nameIn(pathname)), visit));
}

/** As it is where it is no URL's encoding. */
function nameIn(pathname: string): string {
  const name = pathname.replace(/^.*?\/models\//, "");
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

function isAnthropic({ request }: ModelVisit): boolean {
  return request.headers.has("anthropic-version");
}

function described(id: string, visit: ModelVisit): object {
  return isAnthropic(visit)
    ? { type: "model", id, display_name: id, created_at: "1970-01-01T00:00:00Z" }
    : { id, object: "model", created: 0, owned_by: "pincer" };
}

async function told(visit: ModelVisit, answer: () => object): Promise<Response> {
  let said: object = {};
  const refused = await recorded("model/models", isAnthropic(visit) ? anthropicError : openAiError, visit, async () => {
    said = answer();
    return await Promise.resolve(JSON.stringify(said).length);
  });
  return refused ?? Response.json(said);
}
