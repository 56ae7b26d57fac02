import type { Duplex } from "node:stream";

/**
 * Carries bytes both ways until both sides have ended, one has failed, or nothing has moved for `idleMs`. What one
 * side said before it ended reaches the other.
 */
export function pipeBothWays(left: Duplex, right: Duplex, idleMs?: number): void {
  const end = () => {
    left.destroy();
    right.destroy();
  };
  const idle = idleMs === undefined ? undefined : setTimeout(end, idleMs);
  for (const [from, to] of [
    [left, right],
    [right, left],
  ] as const) {
    from.on("data", () => idle?.refresh());
    from.on("error", end);
    from.on("close", () => {
      // A side that closes after its end has handed everything over: the other may still be writing it.
      if (!from.readableEnded) to.destroy();
      if (left.destroyed && right.destroyed) clearTimeout(idle);
    });
    from.pipe(to);
  }
  if (left.destroyed || right.destroyed) end();
}
