import * as z from "zod";
import type { SessionCost } from "./book-table.ts";

const spansSchema = z.array(
  z.object({
    sessionId: z.string(),
    fromMs: z.number(),
    /** Absent while it goes on. */
    untilMs: z.number().exactOptional(),
  }),
);
type Span = z.output<typeof spansSchema>[number];

/** As much of `ctx.storage.kv` as this needs. */
interface Storage {
  get(key: string): unknown;
  put(key: string, value: unknown): void;
}

/** Whose time it is. */
interface Session {
  readonly kind: "browser" | "sandbox";
  /** Where the spans are kept. */
  readonly key: string;
  /** What so much of it costs the deployment. */
  readonly nanoUsdOf: (ranMs: number) => number;
}

/** Keeps cost rows; the same row given twice is kept once. */
export type KeepCosts = (rows: readonly SessionCost[]) => Promise<void>;

/**
 * The time that one browser's Chromes or one sandbox's containers run, and what it costs. Beginnings and ends are stored
 * as they come, so that an eviction loses nothing; a span that is closed is never changed, and is kept until it is in the
 * person's books.
 */
export class SessionTime {
  readonly #session: Session;
  readonly #storage: Storage;
  readonly #keepCosts: KeepCosts;

  constructor(session: Session, storage: Storage, keepCosts: KeepCosts) {
    this.#session = session;
    this.#storage = storage;
    this.#keepCosts = keepCosts;
  }

  /** One is there; another one of the same has ended by now. One that is known to run goes on. */
  begin(sessionId: string, nowMs: number): void {
    const spans = this.#read();
    if (spans.some((span) => isRunning(span) && span.sessionId === sessionId)) return;
    this.#write([...closed(spans, nowMs), { sessionId, fromMs: nowMs }]);
  }

  /** That one is there no more. When it went is not always known: it counts until somebody finds out. */
  end(sessionId: string, nowMs: number): void {
    const spans = this.#read();
    if (spans.some((span) => isRunning(span) && span.sessionId === sessionId)) this.#write(closed(spans, nowMs));
  }

  /** Puts all time up to now into the books. Where that fails, it is done with the next time. */
  async settle(nowMs: number): Promise<void> {
    const spans = this.#read();
    const running = spans.find(isRunning);
    const done = closed(spans, nowMs);
    this.#write(running === undefined ? done : [...done, { ...running, fromMs: nowMs }]);
    if (done.length === 0) return;
    await this.#keepCosts(done.map((span) => this.#costOf(span)));
    const settled = new Set(done.map((span) => this.#nameOf(span)));
    this.#write(this.#read().filter((span) => isRunning(span) || !settled.has(this.#nameOf(span))));
  }

  #costOf(span: Required<Span>): SessionCost {
    const { kind, nanoUsdOf } = this.#session;
    const ms = span.untilMs - span.fromMs;
    return { callId: this.#nameOf(span), atMs: span.untilMs, nanoUsd: nanoUsdOf(ms), use: { kind, ms } };
  }

  /** Tells a span's row from those of calls, which are named by a UUID alone. */
  #nameOf({ sessionId, fromMs }: Span): string {
    return `${this.#session.kind}/${sessionId}/${fromMs}`;
  }

  #read(): Span[] {
    return spansSchema.catch([]).parse(this.#storage.get(this.#session.key) ?? []);
  }

  #write(spans: readonly Span[]): void {
    this.#storage.put(this.#session.key, spans);
  }
}

function isRunning({ untilMs }: Span): boolean {
  return untilMs === undefined;
}

/** The spans, none of them going on; a clock that goes back costs nobody anything. */
function closed(spans: readonly Span[], nowMs: number): Required<Span>[] {
  return spans
    .map((span) => ({ ...span, untilMs: span.untilMs ?? nowMs }))
    .filter(({ fromMs, untilMs }) => untilMs > fromMs);
}
