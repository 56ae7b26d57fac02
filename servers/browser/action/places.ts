import * as z from "zod";
import { ToolError } from "../../shared/errors.ts";
import { type Point, PageElement } from "./element.ts";
import { type LivePage, VIEWPORT } from "../chrome/live-page.ts";
import type { Place } from "../session.ts";

/** Brings a place of the whole page into the window, and says where it is there. */
const SHOW = `((x, y) => {
  if (x < scrollX || y < scrollY || x >= scrollX + innerWidth || y >= scrollY + innerHeight)
    scrollTo({ left: x - innerWidth / 2, top: y - innerHeight / 2, behavior: "instant" });
  return { x: x - scrollX, y: y - scrollY };
})`;
const pointSchema = z.object({ x: z.number(), y: z.number() });

/** Where a place is in the window. */
export async function locate(live: LivePage, place: Place, signal: AbortSignal, mayBeDisabled = false): Promise<Point> {
  if ("ref" in place) return await (await PageElement.find(live, place.ref)).point(signal, mayBeDisabled);
  const { x: left, y: top, isOfPage } = live.picture;
  const at = { x: place.x + left, y: place.y + top };
  const point = isOfPage ? pointSchema.parse(await live.page.evaluate(`${SHOW}(${at.x}, ${at.y})`)) : at;
  if (point.x >= 0 && point.y >= 0 && point.x < VIEWPORT.width && point.y < VIEWPORT.height) return point;
  throw new ToolError(
    "invalid_input",
    `There is no place ${place.x}, ${place.y} on the page; give x and y in pixels of the last browser_screenshot.`,
  );
}
