/** The body of an answer, written to no faster than its reader takes it. */
export class PacedBody {
  readonly readable: ReadableStream<Uint8Array>;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #wanted = Promise.withResolvers<void>();
  #isOver = false;

  /** `onGone` is called where the reader goes before the end. */
  constructor(onGone: () => void) {
    this.readable = new ReadableStream<Uint8Array>({
      start: (controller) => void (this.#controller = controller),
      pull: () => this.#wanted.resolve(),
      cancel: () => {
        this.#end();
        onGone();
      },
    });
  }

  /** Waits until something is wanted. Rejects where the body is over by then. */
  async write(piece: Uint8Array): Promise<void> {
    await this.#wanted.promise;
    if (this.#isOver) throw new Error("The body is over.");
    this.#wanted = Promise.withResolvers();
    this.#controller?.enqueue(piece);
  }

  close(): void {
    if (!this.#isOver) this.#controller?.close();
    this.#end();
  }

  /** Breaks off, with whoever waits to write: a stream's own writer would wait for its reader even then. */
  breakOff(reason: Error): void {
    if (!this.#isOver) this.#controller?.error(reason);
    this.#end();
  }

  #end(): void {
    this.#isOver = true;
    this.#wanted.resolve();
  }
}
