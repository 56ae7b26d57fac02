import type { CDPSession } from "@cloudflare/puppeteer";
import { VIEWPORT } from "./live-page.ts";
import type { Screenshot, ScreenshotRequest } from "./session.ts";

/** Models see little of a longer one, and the PNG of an incompressible page stays within CDP's 32 MiB a message. */
const MAX_HEIGHT = 5_000;
/** As base64 it stays below the 5 MB that models take. */
const MAX_BYTES = 3_500_000;
const JPEG_QUALITIES = [80, 50, 20] as const;

interface Area {
  readonly width: number;
  readonly height: number;
  readonly isBeyondWindow: boolean;
}

/** Takes a picture of the page. One that would be too large is clipped, and coded more tightly, and says so. */
export async function takeScreenshot(
  session: CDPSession,
  { format, isFullPage }: ScreenshotRequest,
): Promise<Omit<Screenshot, "url">> {
  const notes: string[] = [];
  const pageHeight = isFullPage ? await heightOf(session) : VIEWPORT.height;
  const height = Math.min(pageHeight, MAX_HEIGHT);
  if (height < pageHeight) notes.push(`The page is ${pageHeight} pixels tall; the picture shows the first ${height}.`);
  const area = { width: VIEWPORT.width, height, isBeyondWindow: isFullPage };
  const qualities = format === "png" ? [undefined, ...JPEG_QUALITIES] : JPEG_QUALITIES;
  let base64 = "";
  let quality: number | undefined;
  for (quality of qualities) {
    base64 = await capture(session, area, quality);
    if ((base64.length * 3) / 4 <= MAX_BYTES) break;
  }
  if (format === "png" && quality !== undefined)
    notes.push("It is a JPEG, since a PNG of it would have been too large.");
  return { base64, mimeType: quality === undefined ? "image/png" : "image/jpeg", width: area.width, height, notes };
}

async function heightOf(session: CDPSession): Promise<number> {
  const { cssContentSize } = await session.send("Page.getLayoutMetrics");
  return Math.max(VIEWPORT.height, Math.ceil(cssContentSize.height));
}

/** A PNG, or a JPEG where a quality is given; base64. */
async function capture(
  session: CDPSession,
  { width, height, isBeyondWindow }: Area,
  quality?: number,
): Promise<string> {
  const { data } = await session.send("Page.captureScreenshot", {
    ...(quality === undefined ? { format: "png" } : { format: "jpeg", quality }),
    ...(isBeyondWindow ? { clip: { x: 0, y: 0, width, height, scale: 1 }, captureBeyondViewport: true } : {}),
    optimizeForSpeed: false,
  });
  return data;
}
