import { LISTED_HOSTS } from "../../delegate/model/endpoint.ts";
import { familyOf } from "../../delegate/model/model-prices.ts";
import { ToolError } from "../../shared/errors.ts";
import type { Settings } from "../../shared/settings.ts";

type ModelSettings = Pick<
  Settings,
  "MODEL_BASE_URL" | "MODEL_DEFAULT" | "MODEL_FALLBACKS" | "MODEL_PRICES" | "AI_GATEWAY_API"
>;

/** What AI Gateway's own form calls providers that are listed by other names. */
const COMPAT_PROVIDERS = new Map([
  ["google", "google-ai-studio"],
  ["xai", "grok"],
]);

/** The models that the settings name: the default first. */
export function ownModels(settings: ModelSettings): string[] {
  return [...new Set([...askedModels(settings), ...Object.keys(settings.MODEL_PRICES)])];
}

/** Those that sub-agents are given, by the endpoint's names. */
function askedModels({ MODEL_DEFAULT, MODEL_FALLBACKS }: ModelSettings): string[] {
  return [...(MODEL_DEFAULT === undefined ? [] : [MODEL_DEFAULT]), ...MODEL_FALLBACKS];
}

/**
 * The model that is asked where a client names that one: the same where the endpoint can have it, else the default.
 * Many agents insist on names of one provider.
 */
export function modelFor(named: string | undefined, settings: ModelSettings): string {
  const { MODEL_DEFAULT } = settings;
  const served = named === undefined || askedModels(settings).includes(named) ? named : nameThere(named, settings);
  // A price is given under whichever of a model's names: it tells no more than that there is one.
  const priced = Object.keys(settings.MODEL_PRICES).find((name) => name === named);
  const model = served ?? priced ?? MODEL_DEFAULT;
  if (model !== undefined) return model;
  const problem = named === undefined ? "No model is named" : `The endpoint has no ${JSON.stringify(named)}`;
  throw new ToolError("invalid_input", `${problem}, and no MODEL_DEFAULT is set; name a model that it has.`);
}

/** What the endpoint calls a model of that name, if it can have it. */
function nameThere(named: string, { MODEL_BASE_URL, AI_GATEWAY_API }: ModelSettings): string | undefined {
  const family = familyOf(named);
  const host = MODEL_BASE_URL === undefined ? "" : LISTED_HOSTS.get(new URL(MODEL_BASE_URL).hostname);
  if (host === undefined) return family === "" ? named : undefined;
  if (host !== "") return `${family}/` === host ? named : undefined;
  if (named.includes("/")) return named.startsWith("@") && AI_GATEWAY_API === "compat" ? `workers-ai/${named}` : named;
  if (family === "") return undefined;
  return `${(AI_GATEWAY_API === "compat" ? COMPAT_PROVIDERS.get(family) : undefined) ?? family}/${named}`;
}
