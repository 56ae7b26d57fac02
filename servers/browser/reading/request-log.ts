import type { CDPEvents } from "@cloudflare/puppeteer";
import { tidy } from "../snapshot/snapshot-writer.ts";

const MAX_REQUESTS = 200;
const MAX_URL_CHARS = 250;

interface LoggedRequest {
  readonly method: string;
  readonly url: string;
  /** On the protocol's own clock. */
  readonly sentSeconds: number;
  outcome: string;
  answeredSeconds?: number;
}

/** The last requests of a page: methods, URLs, statuses and times; no headers, no bodies. */
export class RequestLog {
  /** Each hop of a redirect has the id of the first. */
  readonly #requests: LoggedRequest[] = [];
  readonly #open = new Map<string, LoggedRequest>();
  #dropped = 0;

  onSent({ requestId, request, timestamp, redirectResponse }: CDPEvents["Network.requestWillBeSent"]): void {
    if (redirectResponse !== undefined) this.#end(requestId, String(redirectResponse.status), timestamp);
    // What is in the URL itself goes nowhere.
    if (/^(data|blob):/.test(request.url)) return;
    const url = bareUrl(request.url);
    const logged: LoggedRequest = { method: request.method, url, sentSeconds: timestamp, outcome: "pending" };
    this.#open.set(requestId, logged);
    this.#requests.push(logged);
    if (this.#requests.length <= MAX_REQUESTS) return;
    this.#requests.shift();
    this.#dropped += 1;
    if (this.#open.size > MAX_REQUESTS) this.#open.delete(this.#open.keys().next().value ?? "");
  }

  onAnswered({ requestId, response, timestamp }: CDPEvents["Network.responseReceived"]): void {
    this.#end(requestId, String(response.status), timestamp);
  }

  onFailed({ requestId, errorText, blockedReason, canceled, timestamp }: CDPEvents["Network.loadingFailed"]): void {
    const reason = blockedReason ?? errorText.replace(/^net::/, "");
    this.#end(requestId, canceled === true ? "cancelled" : `failed (${tidy(reason)})`, timestamp);
  }

  /** One line each, the last ones last: `GET 404 /api/x 12 ms`, with the origin where it is not that of `pageUrl`. */
  lines(pageUrl: string): string[] {
    const origin = URL.canParse(pageUrl) ? `${new URL(pageUrl).origin}/` : "";
    const shown = this.#requests.map(({ method, url, outcome, sentSeconds, answeredSeconds }) => {
      const address = origin !== "" && url.startsWith(origin) ? url.slice(origin.length - 1) : url;
      const took = answeredSeconds === undefined ? "" : ` ${Math.round((answeredSeconds - sentSeconds) * 1000)} ms`;
      return `${method} ${outcome} ${address}${took}`;
    });
    return this.#dropped === 0 ? shown : [`… ${this.#dropped} earlier requests left out`, ...shown];
  }

  #end(requestId: string, outcome: string, seconds: number): void {
    const logged = this.#open.get(requestId);
    if (logged === undefined) return;
    logged.outcome = outcome;
    logged.answeredSeconds = seconds;
    this.#open.delete(requestId);
  }
}

/** The beginning of a URL, without a user name and a password. */
export function bareUrl(url: string): string {
  const bare = url.slice(0, 4_000).replace(/^([a-z][a-z\d+.-]*:\/\/)[^/?#]*@/i, "$1");
  return tidy(bare.length <= MAX_URL_CHARS ? bare : `${bare.slice(0, MAX_URL_CHARS)}…`);
}
