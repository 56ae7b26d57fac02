/**
 * Work that holds up everybody in this process: one piece at a time, and at least as long as it took for everybody else
 * before the next.
 */
export class Turns {
  #last: Promise<void> = Promise.resolve();

  async take<Result>(work: () => Result): Promise<Result> {
    const before = this.#last;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last = promise;
    await before;
    const beganMs = performance.now();
    try {
      return work();
    } finally {
      setTimeout(resolve, performance.now() - beganMs);
    }
  }
}
