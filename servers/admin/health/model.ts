import * as z from "zod";
import { type ModelEndpoint, modelEndpoint } from "../../delegate/model/endpoint.ts";
import { readText } from "../../shared/read-text.ts";
import type { Settings } from "../../shared/settings.ts";
import type { Finding } from "../health-report.ts";
import type { Probe } from "./probe.ts";

const MAX_LIST_BYTES = 4 * 1024 * 1024;
const LABELS = { user: "health", run: "health", depth: "0", server: "health", client: "health" };

const modelList = z.object({ data: z.array(z.object({ id: z.string() })) });

/** The endpoint for sub-agents: its list of models is asked for, which costs nothing and needs the key. */
export function modelProbe(settings: Settings, fetcher: typeof fetch): Probe {
  const endpoint = modelEndpoint(settings, LABELS);
  return {
    name: "Model endpoint",
    failing: {
      says: "The model endpoint cannot be reached, so no sub-agent works.",
      todo: "Check the address in MODEL_BASE_URL, or AI_GATEWAY_ACCOUNT_ID and AI_GATEWAY_ID, and that it can be reached from where the Worker runs.",
    },
    run: async (signal) => {
      if (endpoint === undefined) {
        return {
          state: "off",
          says: "No model endpoint is set, so delegate_run has nothing to ask; all else works.",
          todo: "For sub-agents set MODEL_BASE_URL and MODEL_API_KEY, or AI_GATEWAY_*.",
        };
      }
      const { baseUrl, headers } = endpoint;
      // A redirect would take the key along.
      const response = await fetcher(`${baseUrl}/models`, { headers, redirect: "manual", signal });
      const text = await readText(response.body, MAX_LIST_BYTES).catch(() => undefined);
      return describeAnswer(response.status, text, settings);
    },
  };
}

function describeAnswer(status: number, text: string | undefined, settings: Settings): Finding {
  if (status === 401 || status === 403) {
    return {
      state: "broken",
      says: `The model endpoint refuses the key (status ${status}).`,
      todo: "Put the right MODEL_API_KEY or AI_GATEWAY_TOKEN, and see that its account is not blocked.",
    };
  }
  if (status >= 500 || status === 429) {
    return {
      state: status === 429 ? "warning" : "broken",
      says: `The model endpoint answers, but does not serve (status ${status}).`,
      todo: "Try again later, or look at the provider's status page.",
    };
  }
  if (status < 200 || status >= 300) {
    return {
      state: "warning",
      says: `The model endpoint answers, but lists no models (status ${status}), so the key was not tried.`,
      todo: "If sub-agents fail, check that MODEL_BASE_URL is all before /chat/completions.",
    };
  }
  return describeList(text, settings);
}

function describeList(text: string | undefined, { MODEL_DEFAULT: asked }: Settings): Finding {
  const listed = readList(text);
  if (asked === undefined) {
    return {
      state: "warning",
      says: "The model endpoint answers and takes the key, but MODEL_DEFAULT is not set: each delegate_run has to name a model.",
      todo: "Set MODEL_DEFAULT to a model that the endpoint serves.",
    };
  }
  if (listed !== undefined && listed.length > 0 && !listed.includes(asked)) {
    return {
      state: "warning",
      says: "The model endpoint answers and takes the key, but does not list the model in MODEL_DEFAULT.",
      todo: "Check how the endpoint spells it; a route of a gateway is not listed and works all the same.",
    };
  }
  return { state: "ok", says: "The model endpoint answers and takes the key." };
}

function readList(text: string | undefined): string[] | undefined {
  try {
    return modelList.parse(JSON.parse(text ?? "")).data.map(({ id }) => id);
  } catch {
    return undefined;
  }
}

/** Whether dollars bound what sub-agents use: only where each model that may be asked has a known price. */
export function priceProbe(settings: Settings): Probe | undefined {
  const endpoint = modelEndpoint(settings, LABELS);
  if (endpoint === undefined) return undefined;
  return {
    name: "Model prices",
    failing: { says: "The prices of models cannot be looked up.", todo: "Check MODEL_PRICES." },
    run: () => describePrices(settings, endpoint),
  };
}

function describePrices({ MODEL_DEFAULT, MODEL_FALLBACKS }: Settings, { priceOf }: ModelEndpoint): Finding {
  const models = [...(MODEL_DEFAULT === undefined ? [] : [MODEL_DEFAULT]), ...MODEL_FALLBACKS];
  if (models.every((model) => priceOf(model) !== undefined)) {
    return { state: "ok", says: "Prices are known, so DELEGATE_DAILY_USD and budgets in dollars hold." };
  }
  return {
    state: "warning",
    says: "A model in MODEL_DEFAULT or MODEL_FALLBACKS has no known price: unless the endpoint tells costs, DELEGATE_DAILY_USD does not bound it, and only tokens do.",
    todo: "Give its price in MODEL_PRICES, zeros for one that costs nothing.",
  };
}
