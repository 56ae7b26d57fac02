import { ANY_PATH, LARGE_BYTES, type OpenChange } from "./change-table.ts";

/** How long changes are kept in memory: all calls of that time share two writes to disk, and wait for one of them. */
export const BURST_MS = 1_000;
/** By how much all changes of a burst together may grow files and trash. */
const BURST_BYTES = 4 * LARGE_BYTES;

/**
 * Changes that only memory knows of, under a mark that is on disk before the first of them begins. Whoever dies with
 * them leaves the mark: a change that may write anywhere, and that grows by as much as all of them may. As with any
 * change that nobody finished, what came of it is counted in the end.
 */
export class ChangeBurst {
  readonly mark: OpenChange;
  readonly endsAtMs: number;
  readonly #open = new Map<string, OpenChange>();
  #growsBytes = 0;

  constructor(nowMs: number) {
    this.endsAtMs = nowMs + BURST_MS;
    // It is no older than the youngest change that it stands for.
    const beganAtMs = this.endsAtMs;
    this.mark = { id: crypto.randomUUID(), path: ANY_PATH, growsBytes: BURST_BYTES, writes: true, beganAtMs };
  }

  /** Whether there is room for the change; it is one of the burst's then. */
  begin(change: OpenChange): boolean {
    if (change.beganAtMs >= this.endsAtMs || this.#growsBytes + change.growsBytes > BURST_BYTES) return false;
    this.#growsBytes += change.growsBytes;
    this.#open.set(change.id, change);
    return true;
  }

  /** The change, where it was one of those under way: it is none any more. */
  take(id: string): OpenChange | undefined {
    const change = this.#open.get(id);
    this.#open.delete(id);
    return change;
  }

  open(): readonly OpenChange[] {
    return [...this.#open.values()];
  }
}
