import puppeteer, { type Browser, type BrowserWorker } from "@cloudflare/puppeteer";
import * as z from "zod";
import { ToolError } from "../../shared/errors.ts";
import { SharedConnection } from "./shared-connection.ts";

const DEFAULT_RETRY_AFTER_MS = 2_000;
const MAX_ATTEMPTS = 3;
/** The platform's words once a free plan's ten minutes are used up (developers.cloudflare.com/browser-run/limits). */
const DAY_IS_USED_UP = /time limit exceeded for today/i;
const limitsSchema = z.object({ maxConcurrentSessions: z.number(), activeSessions: z.array(z.unknown()) });

/** The browser binding's answer where it gives no Chrome. */
export class PlatformRefusal extends Error {
  readonly status: number;
  /** Absent where the platform does not say when to come again. */
  readonly retryAfterMs: number | undefined;
  readonly isForToday: boolean;

  constructor(response: Response, body: string) {
    super(`The browser binding answered ${response.status}: ${body.slice(0, 500)}`);
    this.name = "PlatformRefusal";
    this.status = response.status;
    this.retryAfterMs = readRetryAfterMs(response.headers.get("Retry-After"), Date.now());
    this.isForToday = response.status === 429 && DAY_IS_USED_UP.test(body);
  }

  /** Whether the same request may be granted in a while: nothing is said about the browser that it was about. */
  get isTemporary(): boolean {
    return this.status === 429 || this.status === 503;
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

/** A connection to a Chrome, and puppeteer on it. */
export interface Connected {
  readonly connection: SharedConnection;
  readonly browser: Browser;
}

/** As puppeteer itself introduces itself to the platform, which it does not when it is handed a connection. */
const CLIENT = { "cf-brapi-client": "@cloudflare/puppeteer@1.4.0" };

/** Connects to a Chrome. Rejects with `PlatformRefusal` where the platform refuses. */
export async function connectTo(binding: BrowserWorker, sessionId: string): Promise<Connected> {
  const { webSocket } = await refusing(binding).fetch(`https://browser.invalid/v1/devtools/browser/${sessionId}`, {
    headers: { Upgrade: "websocket", ...CLIENT },
  });
  if (webSocket === null) throw new Error("The browser binding gave no connection.");
  webSocket.accept();
  const connection = new SharedConnection(webSocket);
  return { connection, browser: await puppeteer.connect({ transport: connection }) };
}

/** Asks again, a few times, where the platform puts it off for no longer than `maxWaitMs`. */
export async function patiently<T>(ask: () => Promise<T>, maxWaitMs: number): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await ask();
    } catch (cause) {
      if (!(cause instanceof PlatformRefusal) || !cause.isTemporary || cause.isForToday) throw cause;
      const waitMs = cause.retryAfterMs ?? DEFAULT_RETRY_AFTER_MS;
      if (attempt === MAX_ATTEMPTS || waitMs > maxWaitMs) throw cause;
      await scheduler.wait(waitMs);
    }
  }
}

/** Why no Chrome was given, in words that say what to do. */
export async function explainRefusal(cause: unknown, binding: BrowserWorker): Promise<ToolError> {
  if (cause instanceof ToolError) return cause;
  if (!(cause instanceof PlatformRefusal) || !cause.isTemporary) {
    return new ToolError(
      "unavailable",
      "Chrome did not start; try again, or have whoever runs Pincer look into its log.",
      { cause },
    );
  }
  const when = whenToRetry(cause);
  if (cause.status === 503) {
    return new ToolError("unavailable", `The platform has no browser free; try again ${when}.`, { cause });
  }
  if (cause.isForToday) {
    return new ToolError(
      "limit_reached",
      "The platform's browser time for today is used up; try again after midnight UTC, or have whoever runs Pincer change to a paid plan.",
      { cause },
    );
  }
  const allowed = await readExhaustedLimit(binding);
  const message =
    allowed === undefined
      ? `No more browsers may be started now; use one that is open, or try again ${when}.`
      : `All ${allowed} browsers that the platform allows at once are open; use or close one of yours, or try again ${when}.`;
  return new ToolError("limit_reached", message, { cause });
}

/** Why a browser that is open cannot be used for the moment. */
export function notNow(refusal: PlatformRefusal): ToolError {
  const message = `The browser is open, but the platform lets nobody reach it now; try again ${whenToRetry(refusal)}.`;
  return new ToolError("unavailable", message, { cause: refusal });
}

export function isNotNow(failure: unknown): boolean {
  return failure instanceof ToolError && failure.cause instanceof PlatformRefusal && failure.cause.isTemporary;
}

function whenToRetry({ retryAfterMs }: PlatformRefusal): string {
  return retryAfterMs === undefined ? "in a few minutes" : `in ${Math.ceil(retryAfterMs / 1000)} s`;
}

/** How many browsers may be open at once, where that many are; absent where the platform does not say so. */
async function readExhaustedLimit(binding: BrowserWorker): Promise<number | undefined> {
  const limits = limitsSchema.safeParse(await puppeteer.limits(binding).catch(() => undefined)).data;
  if (limits === undefined || limits.activeSessions.length < limits.maxConcurrentSessions) return undefined;
  return limits.maxConcurrentSessions;
}

/** RFC 9110 §10.2.3: a number of seconds, or a date. */
function readRetryAfterMs(header: string | null, nowMs: number): number | undefined {
  const seconds = Number(header ?? "");
  const waitMs = Number.isNaN(seconds) ? Date.parse(header ?? "") - nowMs : seconds * 1000;
  return waitMs > 0 ? waitMs : undefined;
}
