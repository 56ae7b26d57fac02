import { type Bytes, concatBytes, copyBytes, encode, NO_BYTES } from "./bytes.ts";
import { Output } from "./output.ts";

/** One output of a context, up to the mark that ends a run. */
export class MarkedStream {
  readonly output: Output;
  /** Resolves when the mark has come. */
  readonly marked: Promise<void>;
  /** A NUL and what makes it this run's. */
  readonly #mark: Bytes;
  #held: Bytes = NO_BYTES;
  #isOver = false;
  #settle: () => void = () => undefined;

  constructor(mark: string, maxChars: number) {
    this.#mark = encode(`\0${mark}`);
    this.output = new Output({ spoolPath: "", maxChars, maxSpoolBytes: 0, budget: { leftBytes: 0 } });
    this.marked = new Promise((resolve) => (this.#settle = resolve));
  }

  /** Nothing more comes; what looked like the beginning of a mark was none. */
  end(): void {
    if (!this.#isOver) this.output.push(this.#held);
    this.#isOver = true;
  }

  /** False where the run's output is over. */
  push(content: Bytes): boolean {
    if (this.#isOver) return false;
    const bytes = this.#held.length === 0 ? content : concatBytes([this.#held, content]);
    const at = this.#findMark(bytes);
    const isWhole = at !== -1 && at + this.#mark.length <= bytes.length;
    const split = at === -1 ? bytes.length : at;
    this.output.push(bytes.subarray(0, split));
    this.#held = isWhole ? NO_BYTES : copyBytes(bytes.subarray(split));
    if (isWhole) {
      this.#isOver = true;
      this.#settle();
    }
    return true;
  }

  /** Where the mark is, or where the bytes end in what may become it. */
  #findMark(bytes: Bytes): number {
    for (let at = bytes.indexOf(0); at !== -1; at = bytes.indexOf(0, at + 1)) {
      const there = bytes.subarray(at, at + this.#mark.length);
      if (there.every((byte, index) => byte === this.#mark[index])) return at;
    }
    return -1;
  }
}
