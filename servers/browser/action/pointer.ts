import type { CDPSession } from "@cloudflare/puppeteer";
import type { Point } from "./element.ts";

/** Between the steps of a drag the page may look where the pointer is. */
const DRAG_STEPS = 8;

type MouseButton = "none" | "left" | "right";

/** What can be done with the pointer at a place. */
export type PointerAction = "click" | "double" | "right" | "hover";

/** Each resolves when the page has dealt with it. Commands are sent at once: Chrome keeps their order. */
export async function usePointer(session: CDPSession, action: PointerAction, at: Point): Promise<void> {
  const moved = mouse(session, "mouseMoved", at, "none", 0);
  if (action === "hover") return await moved;
  const button = action === "right" ? "right" : "left";
  const presses = action === "double" ? [1, 2] : [1];
  const pressed = presses.flatMap((count) => [
    mouse(session, "mousePressed", at, button, count),
    mouse(session, "mouseReleased", at, button, count),
  ]);
  await Promise.all([moved, ...pressed]);
}

/**
 * Presses at one place and lets go at another. Where the page drags by HTML's own drag and drop, Chrome hands the drag
 * over to be carried on by commands, and `Input.setInterceptDrags` says so.
 */
export async function drag(session: CDPSession, from: Point, to: Point): Promise<void> {
  await session.send("Input.setInterceptDrags", { enabled: true });
  const intercepted = Promise.withResolvers<DragData>();
  const onDrag = ({ data }: { data: DragData }): void => intercepted.resolve(data);
  session.on("Input.dragIntercepted", onDrag);
  try {
    await mouse(session, "mouseMoved", from, "none", 0);
    await mouse(session, "mousePressed", from, "left", 1);
    let data: DragData | undefined;
    for (let step = 1; step <= DRAG_STEPS; step += 1) {
      const at = between(from, to, step / DRAG_STEPS);
      // The move that starts a drag is answered only when the drag is over.
      const moved = mouse(session, "mouseMoved", at, "left", 1).then(() => undefined);
      data ??= await Promise.race([intercepted.promise, moved]);
      if (data !== undefined) break;
    }
    if (data === undefined) return await mouse(session, "mouseReleased", to, "left", 1);
    for (const type of ["dragEnter", "dragOver", "drop"] as const) {
      await session.send("Input.dispatchDragEvent", { type, x: to.x, y: to.y, data });
    }
    await mouse(session, "mouseReleased", to, "left", 1);
  } finally {
    session.off("Input.dragIntercepted", onDrag);
    await session.send("Input.setInterceptDrags", { enabled: false });
  }
}

interface DragData {
  items: { mimeType: string; data: string }[];
  dragOperationsMask: number;
}

async function mouse(
  session: CDPSession,
  type: "mouseMoved" | "mousePressed" | "mouseReleased",
  { x, y }: Point,
  button: MouseButton,
  clickCount: number,
): Promise<void> {
  const buttons = type === "mouseReleased" ? 0 : { none: 0, left: 1, right: 2 }[button];
  await session.send("Input.dispatchMouseEvent", { type, x, y, button, buttons, clickCount });
}

function between(from: Point, to: Point, share: number): Point {
  return { x: from.x + (to.x - from.x) * share, y: from.y + (to.y - from.y) * share };
}
