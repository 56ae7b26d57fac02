import { randomUUID } from "node:crypto";
import { Problem } from "./problem.ts";

/** A holder that does nothing for this long has gone, and the next one gets its turn. */
const IDLE_MS = 15_000;

/** Lets one caller at a time move files between the sandbox and the caller's store; the others wait in line. */
export class Leases {
  readonly #waiting: (() => void)[] = [];
  #holder: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #uses = 0;

  async take(): Promise<string> {
    if (this.#holder !== undefined) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    const lease = randomUUID();
    this.#holder = lease;
    this.#restart();
    return lease;
  }

  /** Runs `work` for the holder; while it runs, the lease does not end. */
  async use<Result>(lease: string, work: () => Promise<Result>): Promise<Result> {
    if (this.#holder !== lease) {
      throw new Problem("unavailable", "The files took too long to move into the sandbox; try again.");
    }
    this.#uses += 1;
    try {
      return await work();
    } finally {
      this.#uses -= 1;
      if (this.#holder === lease) this.#restart();
    }
  }

  release(lease: string): void {
    if (this.#holder !== lease) return;
    clearTimeout(this.#timer);
    const next = this.#waiting.shift();
    // Between the two nobody else gets in: the next one takes over at once.
    this.#holder = next === undefined ? undefined : "handing over";
    next?.();
  }

  #restart(): void {
    clearTimeout(this.#timer);
    const lease = this.#holder;
    this.#timer = setTimeout(() => {
      if (lease === undefined) return;
      if (this.#uses > 0) this.#restart();
      else this.release(lease);
    }, IDLE_MS);
    this.#timer.unref();
  }
}
