/** A change is told once in so long; what comes within that is told by none. */
const MAX_SILENCE_MS = 5_000;
const WINDOW_PARTS = 6;

/** How long whoever has told a change of a sandbox keeps to itself that there are more. */
export function silenceOf(windowMs: number): number {
  return Math.min(MAX_SILENCE_MS, windowMs / WINDOW_PARTS);
}
