import type { Settings } from "../../shared/settings.ts";

/** Where Anthropic's own models are asked in Anthropic's own shape, in which they keep a prompt in their cache. */
export interface MessagesApi {
  readonly url: string;
  /** Absent where nothing is counted. */
  readonly countUrl?: string;
  readonly headers: Readonly<Record<string, string>>;
  /** What a model is called there; `undefined` where it is none of Anthropic's. */
  readonly nameOf: (model: string) => string | undefined;
}

const ANTHROPIC_HOST = "api.anthropic.com";
const VERSION = { "anthropic-version": "2023-06-01" };

/** Anthropic's endpoint itself, which takes its key by another name in this shape. */
export function messagesAtAnthropic(baseUrl: string, key: string | undefined): MessagesApi | undefined {
  const { protocol, hostname } = new URL(baseUrl);
  if (hostname !== ANTHROPIC_HOST || protocol !== "https:") return undefined;
  return {
    ...urls(baseUrl),
    headers: { ...VERSION, ...keyHeader(key) },
    nameOf: (model) => withName(model, anthropicName),
  };
}

/**
 * AI Gateway, by its documentation; nothing of this was ever tried against it. What it serves beside `/compat` is the
 * provider's own API, with the provider's key as the provider takes it, or none where it stores one or bills
 * (developers.cloudflare.com/ai-gateway/usage/providers/anthropic/), counting included. Its REST API has `/messages`
 * beside `/chat/completions`, of which it says that Anthropic's SDK can speak to it, and nothing that counts
 * (developers.cloudflare.com/ai-gateway/usage/rest-api/).
 */
export function messagesAtGateway(
  baseUrl: string,
  headers: Readonly<Record<string, string>>,
  { AI_GATEWAY_API: api, MODEL_API_KEY: key }: Pick<Settings, "AI_GATEWAY_API" | "MODEL_API_KEY">,
): MessagesApi | undefined {
  if (api === "rest") {
    return {
      url: `${baseUrl}/messages`,
      headers: { ...headers, ...VERSION },
      nameOf: (model) => withName(model, (name) => `anthropic/${name}`),
    };
  }
  if (!baseUrl.endsWith("/compat")) return undefined;
  const { authorization: _, ...gatewayHeaders } = headers;
  return {
    ...urls(baseUrl.replace(/\/compat$/, "/anthropic/v1")),
    headers: { ...gatewayHeaders, ...VERSION, ...keyHeader(key) },
    nameOf: (model) => withName(model, anthropicName),
  };
}

function urls(baseUrl: string): Pick<MessagesApi, "url" | "countUrl"> {
  return { url: `${baseUrl}/messages`, countUrl: `${baseUrl}/messages/count_tokens` };
}

function keyHeader(key: string | undefined): Record<string, string> {
  return key === undefined ? {} : { "x-api-key": key };
}

/** What a model is called there by its own name; `undefined` where it is none of Anthropic's. */
function withName(model: string, put: (name: string) => string): string | undefined {
  const name = /^(?:anthropic\/)?(claude-.+)$/.exec(model)?.[1];
  return name && put(name);
}

/** Cloudflare writes `claude-opus-4.8`, Anthropic `claude-opus-4-8`. */
function anthropicName(name: string): string {
  return name.replace(/(\d)\.(?=\d)/g, "$1-");
}
