import { ToolError } from "../shared/errors.ts";

/** An alarm has fifteen minutes; whoever takes longer has been given up by whatever is at the other end. */
const WORK_LIMIT_MS = 14 * 60_000;

/** One thing at a time, of which the one that is done now can be given up. */
export class SnapshotTurns {
  #last: Promise<unknown> = Promise.resolve();
  #abort = new AbortController();

  async take<Result>(work: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
    const turn = this.#last.then(async () => {
      const { signal } = (this.#abort = new AbortController());
      try {
        return await work(AbortSignal.any([signal, AbortSignal.timeout(WORK_LIMIT_MS)]));
      } catch (error) {
        // What was given up says why.
        signal.throwIfAborted();
        throw error;
      }
    });
    this.#last = turn.catch(() => undefined);
    return await turn;
  }

  /** Ends what is done now with that reason, a sentence; what waits for its turn goes on. */
  giveUp(reason: string): void {
    this.#abort.abort(new ToolError("cancelled", reason));
  }
}
