import type { Frame } from "@cloudflare/puppeteer";
import { within } from "../chrome/abort.ts";
import { PAGE_KEY } from "../chrome/page-script.ts";

/** A page that works without end has no pause to wait for. */
const EVALUATE_LIMIT_MS = 1_000;

/** Has the page's short timers counted from here on. */
export async function watchTimers(frame: Frame): Promise<void> {
  await ask(frame, "watch()", EVALUATE_LIMIT_MS);
}

/** Resolves when those timers have gone off and what they did is drawn, or after `limitMs`; soon where the document goes. */
export async function timersIdle(frame: Frame, limitMs: number): Promise<void> {
  await ask(frame, `idle(${limitMs})`, limitMs + EVALUATE_LIMIT_MS);
}

export async function forgetTimers(frame: Frame): Promise<void> {
  await ask(frame, "rest()", EVALUATE_LIMIT_MS);
}

/** The document may go away, or be one that was there before us. */
async function ask(frame: Frame, call: string, limitMs: number): Promise<void> {
  await within(
    frame.evaluate(`window[${PAGE_KEY}]?.${call}`).catch(() => undefined),
    limitMs,
  );
}
