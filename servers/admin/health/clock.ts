import type { Finding } from "../health-report.ts";

/** Tokens that somebody else signs are taken for five seconds longer than they say, and live for minutes. */
const MAX_SKEW_MS = 30_000;

/** Compares this machine's clock with those of whoever is asked something anyway. */
export class ClockWatch {
  readonly #now: () => Date;
  #worstMs: number | undefined;

  constructor(now: () => Date) {
    this.#now = now;
  }

  /** `fetcher`, with an eye on what its answers say of the time. */
  watching(fetcher: typeof fetch): typeof fetch {
    return async (input, init) => {
      const response = await fetcher(input, init);
      // RFC 9110 §6.6.1: to the second, and rounded down.
      const dateMs = Date.parse(response.headers.get("Date") ?? "");
      const skewMs = Math.abs(this.#now().getTime() - dateMs);
      if (!Number.isNaN(skewMs)) this.#worstMs = Math.max(this.#worstMs ?? 0, skewMs);
      return response;
    };
  }

  /** Nothing where nobody told the time. */
  judge(): Finding | undefined {
    if (this.#worstMs === undefined) return undefined;
    if (this.#worstMs <= MAX_SKEW_MS)
      return { state: "ok", says: "It agrees with those of the servers that were asked." };
    return {
      state: "warning",
      says: `It is ${Math.round(this.#worstMs / 1_000)} s off from that of a server that was asked: sign-ins and links may be refused.`,
      todo: "Set this machine's clock by the network (timedatectl set-ntp true), or have the other one set.",
    };
  }
}
