/** Whom a page that comes is for: a call, or what was there before; nobody's tab; a client; or no one that asked. */
export type Arrival = "call" | "aside" | "client" | "unasked";

/** Tells of the pages that come whom they are for, by who waits for one. */
export class Arrivals {
  /** Until all pages have come that were there before. */
  #forCall = true;
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
    if (this.#forCall) return "call";
    // A page that another one opens is no client's, whoever made it do so.
    return openerId === undefined && this.#forClients > 0 ? "client" : "unasked";
  }

  allHere(): void {
    this.#forCall = false;
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
