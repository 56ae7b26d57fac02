import type { CDPEvents, CDPSession } from "@cloudflare/puppeteer";

/** Follows how far a page has come, from one document to the next. */
export class LoadWatch implements Disposable {
  readonly #session: CDPSession;
  readonly #listening = new DisposableStack();
  #loaderId: string | undefined;
  #isParsed = false;
  #isLoaded = false;
  /** A script or a refresh asked for another document; this one is not what the caller is after. */
  #isLeaving = false;
  #waiting: (() => void)[] = [];
  #status: number | undefined;

  constructor(session: CDPSession, frameId: string) {
    this.#session = session;
    this.#on("Page.lifecycleEvent", ({ frameId: changed, loaderId, name }) => {
      if (changed === frameId) this.#onLifecycle(loaderId, name);
    });
    this.#on("Page.frameRequestedNavigation", ({ frameId: leaving, disposition }) => {
      if (leaving === frameId && disposition === "currentTab") {
        this.#isLeaving = true;
        this.#check();
      }
    });
    this.#on("Page.frameStoppedLoading", ({ frameId: stopped }) => {
      if (stopped === frameId) this.#onStopped();
    });
    this.#on("Network.responseReceived", ({ frameId: answered, type, response }) => {
      if (answered === frameId && type === "Document") this.#status = response.status;
    });
  }

  /** Resolves when a document has come since the watch began and has been parsed. */
  async parsed(): Promise<true> {
    return await this.#until(() => this.#isParsed);
  }

  /** Resolves when the newest document has loaded, and nothing is to take its place. */
  async loaded(): Promise<true> {
    return await this.#until(() => this.hasLoaded);
  }

  get hasLoaded(): boolean {
    return this.#isLoaded && !this.#isLeaving;
  }

  /** Whether another document has come, or is on its way. */
  get hasBegun(): boolean {
    return this.#isLeaving || this.#loaderId !== undefined;
  }

  /** Resolves when another document is on its way. */
  async begun(): Promise<true> {
    return await this.#until(() => this.hasBegun);
  }

  /** Resolves when the document that was on its way has loaded, or turned out to be none. */
  async finished(): Promise<true> {
    return await this.#until(() => !this.#isLeaving && (this.#isLoaded || this.#loaderId === undefined));
  }

  /** Of the newest document; absent where it did not come over HTTP. */
  get status(): number | undefined {
    return this.#status;
  }

  [Symbol.dispose](): void {
    this.#listening.dispose();
  }

  #on<Name extends keyof CDPEvents>(name: Name, listener: (event: CDPEvents[Name]) => void): void {
    this.#session.on(name, listener);
    this.#listening.defer(() => this.#session.off(name, listener));
  }

  #onLifecycle(loaderId: string, name: string): void {
    if (name === "init") {
      this.#loaderId = loaderId;
      this.#isParsed = false;
      this.#isLoaded = false;
      this.#isLeaving = false;
    }
    // What is left over from the document before says nothing about this one.
    if (loaderId !== this.#loaderId) return;
    if (name === "DOMContentLoaded") this.#isParsed = true;
    if (name === "load") this.#isLoaded = true;
    this.#check();
  }

  /** Nothing more comes: of a document whose place a download was to take, not even that it was parsed. */
  #onStopped(): void {
    this.#isLeaving = false;
    this.#isParsed = this.#loaderId !== undefined;
    this.#isLoaded = this.#isParsed;
    this.#check();
  }

  #check(): void {
    for (const check of [...this.#waiting]) check();
  }

  async #until(isDone: () => boolean): Promise<true> {
    const done = Promise.withResolvers<true>();
    const check = (): void => {
      if (isDone()) done.resolve(true);
    };
    this.#waiting.push(check);
    check();
    try {
      return await done.promise;
    } finally {
      this.#waiting = this.#waiting.filter((other) => other !== check);
    }
  }
}
