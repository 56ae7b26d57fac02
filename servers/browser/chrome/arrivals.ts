/** Whom a page that comes is for: a call, or what was there before; nobody's tab; a client; or no one that asked. */
export type Arrival = "call" | "aside" | "client" | "unasked";

/** Tells of the pages that come whom they are for, by who waits for one. */
export class Arrivals {
  #areAllHere = false;
  #forCall = false;
  #aside = false;
  #forClients = 0;

  get forClients(): number {
    return this.#forClients;
  }

  /** A page of which Chrome tells now. */
  take(openerId: string | undefined): Arrival {
    if (openerId === undefined && this.#aside) {
      this.#aside = false;
      return "aside";
    }
    // Openers may come after what they have opened.
    if (!this.#areAllHere) return "call";
    // A page that another one opens is no call's and no client's, whoever made it do so.
    if (openerId !== undefined) return "unasked";
    if (this.#forCall) return "call";
    return this.#forClients > 0 ? "client" : "unasked";
  }

  /** All pages have come that were there before. */
  allHere(): void {
    this.#areAllHere = true;
  }

  async forCall<T>(open: () => Promise<T>): Promise<T> {
    this.#forCall = true;
    return await open().finally(() => (this.#forCall = false));
  }

  /** Only the one page that comes next is. */
  async aside<T>(open: () => Promise<T>): Promise<T> {
    this.#aside = true;
    return await open().finally(() => (this.#aside = false));
  }

  /** Until what is returned is called. */
  expectForClient(): () => void {
    this.#forClients += 1;
    return () => void (this.#forClients -= 1);
  }
}
