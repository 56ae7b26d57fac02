import * as z from "zod";
import type { SessionCost } from "./book-table.ts";
import type { Chore } from "./chores.ts";
import { dayOf } from "./figures.ts";
import { storageNanoUsd } from "./prices.ts";

const DAY_MS = 24 * 60 * 60 * 1_000;

const lastRecord = z.object({ last: z.string().nullable() });

/** What the chore stands on. */
interface Storage {
  readonly sql: SqlStorage;
  /** What files and trash take now. */
  readonly bytes: () => number;
  /** Whether somebody pays for it. */
  readonly isBilled: () => boolean;
  readonly keepCosts: (costs: readonly SessionCost[]) => Promise<void>;
}

/** Puts what one person's files cost into the books, a row a day: what they take when the day is over, for all of it. */
export class StorageCost implements Chore {
  readonly name = "count what storage costs";
  readonly #storage: Storage;

  constructor(storage: Storage) {
    this.#storage = storage;
  }

  dueAtMs(): number | undefined {
    if (this.#storage.bytes() === 0 || !this.#storage.isBilled()) return undefined;
    const last = this.#lastDay();
    // The day after the last is over two days after that began.
    return last === undefined ? 0 : Date.parse(last) + 2 * DAY_MS;
  }

  /** Days of which nobody knows any more what they took are left out: before the first row, and while no alarm came. */
  async run(nowMs: number): Promise<void> {
    const day = dayOf(nowMs - DAY_MS);
    const nanoUsd = this.#lastDay() === undefined ? 0 : storageNanoUsd(this.#storage.bytes());
    await this.#storage.keepCosts([
      { callId: `storage/${day}`, atMs: Date.parse(day), nanoUsd, use: { kind: "storage" } },
    ]);
  }

  #lastDay(): string | undefined {
    const query = "SELECT max(call_id) AS last FROM costs WHERE call_id > 'storage/' AND call_id < 'storage0'";
    return lastRecord.parse(this.#storage.sql.exec(query).one()).last?.slice("storage/".length);
  }
}
