import type { HTTPRequest, Page } from "@cloudflare/puppeteer";
import { handleOf } from "./puppeteer-internals.ts";

/** What a page asks for this often by itself, it asks for again and again. */
const ROUTINE = 3;
const MAX_KEYS = 500;
/** What changes a page's text. */
const COUNTED: ReadonlySet<string> = new Set(["document", "xhr", "fetch", "script"]);

/**
 * The requests of a page that are under way. What it asks for all the time anyway (a poll) is left out, and streams,
 * which never end.
 */
export class RequestHabits {
  readonly #counts = new Map<string, number>();
  readonly #pending = new Set<HTTPRequest>();
  /** Those that began with the action that is going on. */
  #ofAction: Set<HTTPRequest> | undefined;
  #onChange: () => void = () => undefined;

  constructor(page: Page) {
    page.on("request", (request) => this.#onRequest(request));
    page.on("requestfinished", (request) => this.#onDone(request));
    page.on("requestfailed", (request) => this.#onDone(request));
    page.on("response", (response) => {
      if (/event-stream|ndjson/.test(response.headers()["content-type"] ?? "")) this.#onDone(response.request());
    });
    // What a document has not got when it goes ends without a word.
    handleOf(page.mainFrame()).session.on("Page.frameNavigated", ({ frame }) => this.#onGone(frame.id));
    page.on("framedetached", (frame) => this.#onGone(handleOf(frame).id));
  }

  /** From here on requests count as set off by an action. */
  begin(): void {
    this.#ofAction = new Set();
  }

  end(): void {
    this.#ofAction = undefined;
    this.#onChange();
  }

  /** Whether none of the action's requests is under way. */
  get isIdle(): boolean {
    return this.#ofAction === undefined || this.#ofAction.size === 0;
  }

  /** Whether no request is under way, whoever set it off. */
  get isQuiet(): boolean {
    return this.#pending.size === 0;
  }

  /** Resolves when none of the action's requests is under way any more. */
  async idle(): Promise<void> {
    while (!this.isIdle) {
      const changed = Promise.withResolvers<void>();
      this.#onChange = changed.resolve;
      await changed.promise;
    }
  }

  #onRequest(request: HTTPRequest): void {
    const key = keyOf(request);
    const count = this.#counts.get(key) ?? 0;
    // What actions set off is no habit, however often it is done.
    if (this.#ofAction === undefined && (count > 0 || this.#counts.size < MAX_KEYS)) this.#counts.set(key, count + 1);
    if (!COUNTED.has(request.resourceType()) || count >= ROUTINE) return;
    this.#pending.add(request);
    this.#ofAction?.add(request);
  }

  #onGone(frameId: string): void {
    for (const request of [...this.#pending]) {
      const frame = request.frame();
      if (frame === null || handleOf(frame).id === frameId) this.#onDone(request);
    }
  }

  #onDone(request: HTTPRequest): void {
    this.#pending.delete(request);
    if (this.#ofAction?.delete(request) === true) this.#onChange();
  }
}

function keyOf(request: HTTPRequest): string {
  return `${request.method()} ${request.url().split("?")[0] ?? ""}`;
}
