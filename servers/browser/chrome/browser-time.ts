import * as z from "zod";
import type { CostRow } from "../../account/book-table.ts";
import { browserNanoUsd } from "../../account/prices.ts";

const KEY = "time";
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

/** Keeps cost rows; the same row given twice is kept once. */
export type KeepCosts = (rows: readonly CostRow[]) => Promise<void>;

/**
 * The time that one browser's Chromes run, and what it costs. Beginnings and ends are stored as they come, so that an
 * eviction loses nothing; a span that is closed is never changed, and is kept until it is in the person's books.
 */
export class BrowserTime {
  readonly #storage: Storage;
  readonly #keepCosts: KeepCosts;

  constructor(storage: Storage, keepCosts: KeepCosts) {
    this.#storage = storage;
    this.#keepCosts = keepCosts;
  }

  /** A Chrome is there; another one of the same browser has ended by now. One that is known to run goes on. */
  begin(sessionId: string, nowMs: number): void {
    const spans = this.#read();
    if (spans.some((span) => isRunning(span) && span.sessionId === sessionId)) return;
    this.#write([...closed(spans, nowMs), { sessionId, fromMs: nowMs }]);
  }

  /** That Chrome is there no more. When it went is not always known: it counts until somebody finds out. */
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
    await this.#keepCosts(done.map(costOf));
    const settled = new Set(done.map(nameOf));
    this.#write(this.#read().filter((span) => isRunning(span) || !settled.has(nameOf(span))));
  }

  #read(): Span[] {
    return spansSchema.catch([]).parse(this.#storage.get(KEY) ?? []);
  }

  #write(spans: readonly Span[]): void {
    this.#storage.put(KEY, spans);
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

function costOf(span: Required<Span>): CostRow {
  return { callId: nameOf(span), atMs: span.untilMs, nanoUsd: browserNanoUsd(span.untilMs - span.fromMs) };
}

/** Tells a span's row from those of calls, which are named by a UUID alone. */
function nameOf({ sessionId, fromMs }: Span): string {
  return `browser/${sessionId}/${fromMs}`;
}
