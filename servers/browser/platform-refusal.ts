import type { BrowserWorker } from "@cloudflare/puppeteer";
import { ToolError } from "../shared/errors.ts";

const DEFAULT_RETRY_AFTER_MS = 2_000;

/** The browser binding's answer where it gives no Chrome. */
export class PlatformRefusal extends Error {
  readonly status: number;
  readonly retryAfterMs: number;

  constructor(response: Response, body: string) {
    super(`The browser binding answered ${response.status}: ${body.slice(0, 500)}`);
    this.name = "PlatformRefusal";
    this.status = response.status;
    const seconds = Number(response.headers.get("Retry-After"));
    this.retryAfterMs = seconds > 0 ? seconds * 1000 : DEFAULT_RETRY_AFTER_MS;
  }
}

/** The binding, throwing `PlatformRefusal` where puppeteer would lose the headers, or trip over a missing socket. */
export function refusing(binding: BrowserWorker): BrowserWorker {
  return {
    fetch: async (input, init) => {
      const response = await binding.fetch(input, init);
      const isGiven = new Headers(init?.headers).has("Upgrade") ? response.webSocket !== null : response.ok;
      if (!isGiven) throw new PlatformRefusal(response, await response.text());
      return response;
    },
  };
}

/** Why no Chrome was given, in words that say what to do. */
export function refusalError(cause: unknown): ToolError {
  if (cause instanceof ToolError) return cause;
  const refusal = cause instanceof PlatformRefusal ? cause : undefined;
  const seconds = Math.ceil((refusal?.retryAfterMs ?? 0) / 1000);
  if (refusal?.status === 429) {
    return new ToolError(
      "limit_reached",
      `No more browsers may be started now; use one that is open, or try again in ${seconds} s.`,
      { cause },
    );
  }
  if (refusal?.status === 503) {
    return new ToolError("unavailable", `The platform has no browser free; try again in ${seconds} s.`, { cause });
  }
  return new ToolError(
    "unavailable",
    "Chrome did not start; try again, or have whoever runs Pincer look into its log.",
    { cause },
  );
}
