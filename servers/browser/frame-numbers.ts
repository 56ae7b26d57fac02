/** Numbers the frames of a page in the order in which they are first seen; a frame keeps its number. */
export class FrameNumbers {
  readonly #ids: string[];

  constructor(ids: readonly string[] = []) {
    this.#ids = [...ids];
  }

  get ids(): readonly string[] {
    return this.#ids;
  }

  /** From 1 on. */
  numberOf(frameId: string): number {
    const known = this.#ids.indexOf(frameId);
    return known >= 0 ? known + 1 : this.#ids.push(frameId);
  }
}
