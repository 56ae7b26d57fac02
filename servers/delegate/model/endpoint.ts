import { ToolError } from "../../shared/errors.ts";
import { durationMs } from "../../shared/setting-kinds.ts";
import type { Settings } from "../../shared/settings.ts";
import { type MessagesApi, messagesAtAnthropic, messagesAtGateway } from "./messages-api.ts";
import { type ModelPrice, priceOf, priceOfOwn } from "./model-prices.ts";

/** Where models answer, what opens the door there, and what that costs. */
export interface ModelEndpoint {
  readonly baseUrl: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Absent where nothing but chat completions is known to be served. */
  readonly messages?: MessagesApi | undefined;
  /** What a model costs here; `undefined` where nobody says. */
  readonly priceOf: (model: string) => ModelPrice | undefined;
  readonly zeroRetention: ZeroRetention;
  /** How often a call may be made, and paid, where it fails on the way. */
  readonly attempts: number;
}

/** Whether AI Gateway was asked to keep nothing at the provider; with a key of one's own it cannot see to that. */
export type ZeroRetention = "not asked" | "asked" | "asked with own key";

/** Whom AI Gateway's log shows a request under: five entries are all it takes, and none of them is a name. */
export type RequestLabels = Readonly<Record<"user" | "run" | "depth" | "server" | "client", string>>;

/** Hosts whose prices are the listed ones, with what their names of models lack. */
export const LISTED_HOSTS: ReadonlyMap<string, string> = new Map([
  ["gateway.ai.cloudflare.com", ""],
  ["api.cloudflare.com", ""],
  ["api.openai.com", "openai/"],
  ["api.anthropic.com", "anthropic/"],
  ["generativelanguage.googleapis.com", "google/"],
  ["api.x.ai", "xai/"],
]);

export const NO_ENDPOINT = new ToolError(
  "unavailable",
  "No model endpoint is set; have MODEL_BASE_URL and MODEL_API_KEY set, or AI_GATEWAY_ACCOUNT_ID, AI_GATEWAY_ID and AI_GATEWAY_TOKEN.",
);

/** The endpoint that the settings name, if they do. `MODEL_BASE_URL` goes first. */
export function modelEndpoint(settings: Settings, labels: RequestLabels): ModelEndpoint | undefined {
  const { MODEL_BASE_URL: baseUrl, MODEL_PRICES: own } = settings;
  if (baseUrl !== undefined) {
    const { hostname } = new URL(baseUrl);
    return {
      baseUrl,
      headers: bearer(settings.MODEL_API_KEY),
      messages: messagesAtAnthropic(baseUrl, settings.MODEL_API_KEY),
      priceOf: (model) => priceOfOwn(own, model) ?? priceAt(hostname, model),
      zeroRetention: "not asked",
      attempts: 1,
    };
  }
  const { AI_GATEWAY_ACCOUNT_ID: account, AI_GATEWAY_ID: gateway, AI_GATEWAY_TOKEN: token } = settings;
  if (account === undefined || gateway === undefined || token === undefined) return undefined;
  const gatewayBaseUrl = settings.AI_GATEWAY_BASE_URL ?? gatewayUrl(settings.AI_GATEWAY_API, account, gateway);
  const headers = { ...credentials(settings, gateway, token), ...requestOptions(settings, labels) };
  return {
    baseUrl: gatewayBaseUrl,
    headers,
    messages: messagesAtGateway(gatewayBaseUrl, headers, settings),
    priceOf: (model) => priceOfOwn(own, model) ?? priceOf(model),
    zeroRetention: zeroRetention(settings),
    attempts: settings.AI_GATEWAY_ATTEMPTS,
  };
}

/** By the model, wherever it is: what answers on this machine may well pass on to somebody who sends bills. */
function priceAt(hostname: string, model: string): ModelPrice | undefined {
  return priceOf(`${LISTED_HOSTS.get(hostname) ?? ""}${model}`);
}

function gatewayUrl(api: Settings["AI_GATEWAY_API"], account: string, gateway: string): string {
  return api === "rest"
    ? `https://api.cloudflare.com/client/v4/accounts/${encodeURIComponent(account)}/ai/v1`
    : `https://gateway.ai.cloudflare.com/v1/${encodeURIComponent(account)}/${encodeURIComponent(gateway)}/compat`;
}

/**
 * The REST API takes the token where the other form takes the provider's key, which is passed through. Without one
 * the gateway uses the key that it stores, or its own billing.
 */
function credentials(settings: Settings, gateway: string, token: string): Record<string, string> {
  if (settings.AI_GATEWAY_API === "rest") return { ...bearer(token), "cf-aig-gateway-id": gateway };
  const alias = settings.AI_GATEWAY_BYOK_ALIAS;
  return {
    ...bearer(settings.MODEL_API_KEY),
    "cf-aig-authorization": `Bearer ${token}`,
    ...(alias === undefined ? {} : { "cf-aig-byok-alias": alias }),
  };
}

/** A gateway caches unless it is told not to, whatever its own setting says. */
function requestOptions(settings: Settings, labels: RequestLabels): Record<string, string> {
  const { AI_GATEWAY_TIMEOUT: timeout, AI_GATEWAY_CACHE_TTL: cacheSeconds } = settings;
  return {
    "cf-aig-metadata": asciiJson(labels),
    // `cloudflare/auto` stays with a model while a run works on one task.
    "cf-aig-session-id": labels.run,
    "cf-aig-max-attempts": String(settings.AI_GATEWAY_ATTEMPTS),
    "cf-aig-collect-log-payload": String(settings.AI_GATEWAY_LOG_PAYLOADS),
    ...(cacheSeconds === undefined ? { "cf-aig-skip-cache": "true" } : { "cf-aig-cache-ttl": String(cacheSeconds) }),
    ...(timeout === undefined ? {} : { "cf-aig-request-timeout": String(durationMs(timeout)) }),
    ...(settings.AI_GATEWAY_ZDR ? { "cf-aig-zdr": "true" } : {}),
  };
}

function zeroRetention(settings: Settings): ZeroRetention {
  if (!settings.AI_GATEWAY_ZDR) return "not asked";
  const hasOwnKey = settings.MODEL_API_KEY !== undefined || settings.AI_GATEWAY_BYOK_ALIAS !== undefined;
  return hasOwnKey ? "asked with own key" : "asked";
}

function bearer(key: string | undefined): Record<string, string> {
  return key === undefined ? {} : { authorization: `Bearer ${key}` };
}

/** JSON as a header can carry it. */
function asciiJson(value: RequestLabels): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
