import * as z from "zod";
import { ToolError } from "../../shared/errors.ts";
import type { ActionCall } from "./action-call.ts";
import { PageElement, frameOf } from "./element.ts";
import { FOCUS } from "./element-scripts.ts";
import { fillText } from "./fields.ts";
import { parseKeys, pressKeys, typeText } from "./keys.ts";
import { locate } from "./places.ts";
import { drag, usePointer } from "./pointer.ts";
import type { ClickRequest, TypeRequest } from "../session.ts";

/** Uses the pointer at one place, or from one place to another. */
export async function click(action: ActionCall, { action: kind, at, to }: ClickRequest): Promise<void> {
  const { live, signal } = action;
  const frame = "ref" in at ? frameOf(live, at.ref) : undefined;
  if (kind === "drag") {
    if (to === undefined) throw new ToolError("invalid_input", "A drag ends somewhere; give to, or to_x and to_y.");
    return await action.perform(async (stopped) => {
      // The first place counts after the second has been scrolled to.
      const end = await locate(live, to, signal, true);
      const start = await locate(live, at, signal);
      const moved = await locate(live, to, signal, true);
      stopped.throwIfAborted();
      await drag(live.session, start, end.x === moved.x && end.y === moved.y ? end : moved);
    }, frame);
  }
  await action.performOn(
    async () => await locate(live, at, signal, kind === "hover"),
    async (point) => await usePointer(live.session, kind, point),
    frame,
  );
}

/** Types into an element, or at the cursor, and presses keys. */
export async function typeKeys(action: ActionCall, { ref, text, press }: TypeRequest): Promise<void> {
  const { live } = action;
  const keys = press === undefined ? undefined : parseKeys(live.page, press);
  await action.perform(
    async (signal) => {
      if (ref !== undefined) await focus(action, ref, text);
      if (text !== undefined) await typeText(live.page, text, signal);
      signal.throwIfAborted();
      if (keys !== undefined) await pressKeys(live.page, keys);
    },
    ref === undefined ? undefined : frameOf(live, ref),
  );
}

/** Text takes the place of what is in the element. */
async function focus({ live }: ActionCall, ref: string, text: string | undefined): Promise<void> {
  const element = await PageElement.find(live, ref);
  if (text === undefined) return void (await element.call(FOCUS, [], z.unknown()));
  const field = await element.field();
  if (field.kind === "text") return await fillText(element, field, "");
  if (field.kind === "file" || field.kind === "choice" || field.kind === "value") {
    throw new ToolError(
      "invalid_input",
      `${element.ref} does not take keys well; give it its value with browser_fill.`,
    );
  }
  await element.call(FOCUS, [], z.unknown());
}
