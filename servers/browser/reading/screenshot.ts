import type { CDPSession } from "@cloudflare/puppeteer";
import { PageElement } from "../action/element.ts";
import { type LivePage, type PictureOrigin, VIEWPORT } from "../chrome/live-page.ts";
import type { Screenshot, ScreenshotRequest } from "../session.ts";

/** Models see little of a longer one, and the PNG of an incompressible page stays within CDP's 32 MiB a message. */
const MAX_HEIGHT = 5_000;
const MAX_WIDTH = VIEWPORT.width;
/** As base64 it stays below the 5 MB that models take. */
const MAX_BYTES = 3_500_000;
const JPEG_QUALITIES = [80, 50, 20] as const;

interface Area extends PictureOrigin {
  readonly width: number;
  readonly height: number;
}

/**
 * Takes a picture of the window, the whole page or one element. One that would be too large is clipped, and coded more
 * tightly, and says so.
 */
export async function takeScreenshot(
  live: LivePage,
  { format, isFullPage, ref }: ScreenshotRequest,
): Promise<Omit<Screenshot, "url">> {
  const notes: string[] = [];
  const whole = await areaOf(live, ref, isFullPage);
  const area = { ...whole, width: Math.min(whole.width, MAX_WIDTH), height: Math.min(whole.height, MAX_HEIGHT) };
  if (area.width < whole.width)
    notes.push(`It is ${whole.width} pixels wide; the picture shows the first ${area.width}.`);
  if (area.height < whole.height)
    notes.push(`It is ${whole.height} pixels tall; the picture shows the first ${area.height}.`);
  const qualities = format === "png" ? [undefined, ...JPEG_QUALITIES] : JPEG_QUALITIES;
  let base64 = "";
  let quality: number | undefined;
  for (quality of qualities) {
    base64 = await capture(live.session, area, quality);
    if ((base64.length * 3) / 4 <= MAX_BYTES) break;
  }
  if (format === "png" && quality !== undefined)
    notes.push("It is a JPEG, since a PNG of it would have been too large.");
  live.picture = area;
  const { width, height } = area;
  return { base64, mimeType: quality === undefined ? "image/png" : "image/jpeg", width, height, notes };
}

async function areaOf(live: LivePage, ref: string | undefined, isFullPage: boolean): Promise<Area> {
  if (ref !== undefined) return await (await PageElement.find(live, ref)).area();
  if (!isFullPage) return { ...VIEWPORT, x: 0, y: 0, isOfPage: false };
  return { width: VIEWPORT.width, height: await heightOf(live.session), x: 0, y: 0, isOfPage: true };
}

async function heightOf(session: CDPSession): Promise<number> {
  const { cssContentSize } = await session.send("Page.getLayoutMetrics");
  return Math.max(VIEWPORT.height, Math.ceil(cssContentSize.height));
}

/** A PNG, or a JPEG where a quality is given; base64. */
async function capture(
  session: CDPSession,
  { x, y, width, height, isOfPage }: Area,
  quality?: number,
): Promise<string> {
  const { data } = await session.send("Page.captureScreenshot", {
    ...(quality === undefined ? { format: "png" } : { format: "jpeg", quality }),
    ...(isOfPage ? { clip: { x, y, width, height, scale: 1 }, captureBeyondViewport: true } : {}),
    optimizeForSpeed: false,
  });
  return data;
}
