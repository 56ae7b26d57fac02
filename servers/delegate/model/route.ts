import type { ModelEndpoint } from "./endpoint.ts";

/** Which way a question went, as AI Gateway's headers tell. */
export interface Route {
  readonly servedBy: string;
  readonly isCached: boolean;
  readonly notes: readonly string[];
}

/** What other people's headers and bodies may put into our sentences. */
const NAME = /^[\w@./:-]{1,200}$/;

/** Providers that AI Gateway reaches without their keeping anything. */
const KEEP_NOTHING = new Set(["openai", "anthropic"]);

export function describeRoute(
  endpoint: ModelEndpoint,
  headers: Headers,
  { asked, answered }: { readonly asked: string; readonly answered: string },
): Route {
  const provider = nameIn(headers, "cf-aig-provider");
  const model = nameIn(headers, "cf-aig-model") ?? (NAME.test(answered) ? answered : asked);
  const isWhole = provider === undefined || model.startsWith("@") || model.startsWith(`${provider}/`);
  const servedBy = nameIn(headers, "cf-aig-routed-model") ?? (isWhole ? model : `${provider}/${model}`);
  return {
    servedBy,
    isCached: headers.get("cf-aig-cache-status")?.toUpperCase() === "HIT",
    notes: [...describeFallback(headers, servedBy), ...describeRetention(endpoint, servedBy, provider)],
  };
}

function describeFallback(headers: Headers, servedBy: string): string[] {
  const step = Number(nameIn(headers, "cf-aig-step") ?? 0);
  const reason = nameIn(headers, "cf-aig-routing-reason");
  if (Number.isInteger(step) && step > 0) return [`AI Gateway fell back by itself, to its step ${step}: ${servedBy}.`];
  return reason?.startsWith("fallback_") === true ? [`AI Gateway chose ${servedBy} as a makeshift (${reason}).`] : [];
}

function describeRetention({ zeroRetention }: ModelEndpoint, servedBy: string, provider?: string): string[] {
  if (zeroRetention === "not asked") return [];
  if (zeroRetention === "asked with own key") {
    return [
      "Zero data retention does not hold: AI Gateway sees to it only where it bills, and a key of one's own was used.",
    ];
  }
  const by = provider ?? servedBy.split("/")[0] ?? servedBy;
  return KEEP_NOTHING.has(by) ? [] : [`Zero data retention does not hold: AI Gateway cannot have it for ${by}.`];
}

function nameIn(headers: Headers, name: string): string | undefined {
  const value = headers.get(name);
  return value !== null && NAME.test(value) ? value : undefined;
}
