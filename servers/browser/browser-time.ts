import type { Account } from "../account/account.ts";
import type { SessionCost } from "../account/book-table.ts";
import { browserNanoUsd } from "../account/prices.ts";
import { SessionTime } from "../account/session-time.ts";
import { consoleLog, describeFailure } from "../core/log.ts";
import type { DayLimits } from "./devtools/crossing.ts";
import { personOf } from "./session-name.ts";

const NAME = "name";
const HOUR_MS = 60 * 60 * 1_000;

/** As much of `ctx.storage.kv` as this needs. */
interface Storage {
  get(key: string): unknown;
  put(key: string, value: unknown): void;
}

/** The time that one browser runs, in its person's books. */
export class BrowserTime {
  readonly spans: SessionTime;
  readonly #storage: Storage;
  readonly #accounts: DurableObjectNamespace<Account>;

  /** `name` is the session's, where the platform says it: an alarm may find the object without. */
  constructor(
    storage: Storage,
    accounts: DurableObjectNamespace<Account>,
    { name, isBilled }: { readonly name: string | undefined; readonly isBilled: boolean },
  ) {
    this.#storage = storage;
    this.#accounts = accounts;
    if (name !== undefined) storage.put(NAME, name);
    this.spans = new SessionTime(
      { kind: "browser", key: "time", nanoUsdOf: isBilled ? browserNanoUsd : () => 0 },
      storage,
      async (costs: readonly SessionCost[]) => await this.#account.keepCosts(costs),
    );
  }

  /** Puts the time that Chrome has run into the books; whether they could be reached. */
  async settle(): Promise<boolean> {
    try {
      await this.spans.settle(Date.now());
      return true;
    } catch (failure) {
      consoleLog.error("browser time not settled", { failure: describeFailure(failure) });
      return false;
    }
  }

  /** Why the person may not go on, in one sentence, by what the books say now. Their own limits go before `limits`. */
  async whyOver(limits: DayLimits): Promise<string | undefined> {
    await this.settle();
    const { paused, own, today } = await this.#account.standing();
    if (paused !== undefined) return "You are paused; an admin can lift it.";
    const { browserHoursPerDay, usdPerDay } = { ...limits, ...own };
    if (today.browserMs >= (browserHoursPerDay ?? Infinity) * HOUR_MS) return "browser_hours_per_day is used up.";
    return today.nanoUsd >= (usdPerDay ?? Infinity) * 1e9 ? "usd_per_day is used up." : undefined;
  }

  /** Whose browser it is. */
  get person(): string {
    return personOf(String(this.#storage.get(NAME)));
  }

  get #account(): DurableObjectStub<Account> {
    return this.#accounts.get(this.#accounts.idFromName(this.person));
  }
}
