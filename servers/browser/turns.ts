import { ToolError } from "../shared/errors.ts";
import { orAborted } from "./chrome/abort.ts";

/** What a call says whose page does not answer in time. */
export function busy(): ToolError {
  return new ToolError("timeout", "The page is busy and does not answer; try again in a moment, or open another page.");
}

/** Calls on one browser, one after the other; each can be cancelled by its id, and ends at its deadline. */
export class Turns {
  readonly #limitMs: number;
  readonly #calls = new Map<string, AbortController>();
  #last: Promise<void> = Promise.resolve();

  constructor(limitMs: number) {
    this.#limitMs = limitMs;
  }

  get isBusy(): boolean {
    return this.#calls.size > 0;
  }

  /** The time that a call waits for its turn counts. */
  async take<T>(callId: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const call = new AbortController();
    const timer = setTimeout(() => {
      call.abort(
        new ToolError(
          "timeout",
          `The browser took longer than ${this.#limitMs / 1000} s; try again, or open another page.`,
        ),
      );
    }, this.#limitMs);
    this.#calls.set(callId, call);
    const before = this.#last;
    const done = Promise.withResolvers<void>();
    this.#last = done.promise;
    try {
      await orAborted(before, call.signal);
      return await orAborted(work(call.signal), call.signal);
    } finally {
      clearTimeout(timer);
      this.#calls.delete(callId);
      // Whoever gave up while waiting lets the next one wait on.
      void before.then(done.resolve);
    }
  }

  /** Ends every call, those that wait for their turn too. */
  cancelAll(reason: ToolError): void {
    for (const call of this.#calls.values()) call.abort(reason);
  }

  cancel(callId: string): void {
    this.#calls.get(callId)?.abort(new ToolError("cancelled", "The call was cancelled by the client."));
  }
}
