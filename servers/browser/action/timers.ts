import type { Frame } from "@cloudflare/puppeteer";
import { within } from "../chrome/abort.ts";
import { PAGE_KEY } from "../chrome/page-script.ts";

/** A page that works without end has no pause to wait for. */
const EVALUATE_LIMIT_MS = 1_000;

/** Has the short timers of frames counted from here on. */
export async function watchTimers(frames: readonly Frame[]): Promise<void> {
  await ask(frames, "watch()", EVALUATE_LIMIT_MS);
}

/** Resolves when those timers have gone off and what they did is drawn, or after `limitMs`; soon where the document goes. */
export async function timersIdle(frames: readonly Frame[], limitMs: number): Promise<void> {
  await ask(frames, `idle(${limitMs})`, limitMs + EVALUATE_LIMIT_MS);
}

export async function forgetTimers(frames: readonly Frame[]): Promise<void> {
  await ask(frames, "rest()", EVALUATE_LIMIT_MS);
}

/** The document may go away, or be one that was there before us. */
async function ask(frames: readonly Frame[], call: string, limitMs: number): Promise<void> {
  const answers = frames.map((frame) => frame.evaluate(`window[${PAGE_KEY}]?.${call}`).catch(() => undefined));
  await within(Promise.all(answers), limitMs);
}
