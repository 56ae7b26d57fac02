import type { Frame } from "@cloudflare/puppeteer";
import { ToolError } from "../../shared/errors.ts";
import { orAborted, within } from "../chrome/abort.ts";
import type { Current } from "../chrome/keeper.ts";
import { LoadWatch } from "./load-watch.ts";
import { forgetTimers, timersIdle, watchTimers } from "./timers.ts";

/** For what an action sets off, as long as the page stays. */
const SETTLE_LIMIT_MS = 4_000;
/** For another page that it leads to. */
const LOAD_LIMIT_MS = 20_000;

export interface Settled {
  /** Whether everything that the action set off has come to an end. */
  readonly hasSettled: boolean;
  /** HTTP status of the document that the action led to. */
  readonly status?: number;
}

/**
 * Does something to a page and waits for what it sets off: another document, the page's own requests, its short timers,
 * the answers of its sockets and workers, its downloads, and that the result is drawn. Where nothing is set off, that is
 * one frame. A question of the page ends the wait, since nothing goes on until it is answered. `work` may look at the page
 * at once, and does something to it when `ready` has resolved; it does nothing more once its signal aborts.
 */
export async function settleAfter(
  { chrome, live }: Current,
  frame: Frame,
  signal: AbortSignal,
  work: (ready: Promise<void>, signal: AbortSignal) => Promise<void>,
): Promise<Settled> {
  using watch = new LoadWatch(live.session, live.targetId);
  // What happens in a frame often shows in the page around it.
  const frames = [...new Set([live.page.mainFrame(), frame])];
  // What has not been done when the page asks something, or nobody waits any more, is not done later.
  const stop = new AbortController();
  live.habits.begin();
  try {
    // A page that waits for an answer does not answer this.
    const ready = live.dialogs.isAsking ? Promise.resolve() : orAborted(watchTimers(frames), signal);
    // `work` may fail before it comes to it.
    ready.catch(() => undefined);
    const done = work(ready, AbortSignal.any([signal, stop.signal]));
    // The command that made the page ask is answered after the question is.
    done.catch(() => undefined);
    await orAborted(Promise.race([done, live.dialogs.asked()]), signal);
    stop.abort(new ToolError("cancelled", "The page asked something first."));
    const hasSettled = await settle({ chrome, live }, frames, watch, signal);
    return { hasSettled, ...(watch.status === undefined ? {} : { status: watch.status }) };
  } finally {
    stop.abort();
    live.habits.end();
    void forgetTimers(frames);
  }
}

async function settle(
  { chrome, live }: Current,
  frames: readonly Frame[],
  watch: LoadWatch,
  signal: AbortSignal,
): Promise<boolean> {
  const endsAtMs = Date.now() + SETTLE_LIMIT_MS;
  const unlessAsked = async (work: Promise<unknown>): Promise<void> =>
    void (await orAborted(Promise.race([work, live.dialogs.asked()]), signal));
  /** Of that its own note tells. */
  let isDownloadingAlone = false;
  for (;;) {
    if (live.dialogs.isAsking) return true;
    if (watch.hasBegun) {
      await unlessAsked(within(watch.finished(), LOAD_LIMIT_MS));
      if (watch.hasBegun) return live.dialogs.isAsking || watch.hasLoaded;
      continue;
    }
    const leftMs = endsAtMs - Date.now();
    if (leftMs <= 0) return isDownloadingAlone;
    await unlessAsked(Promise.race([timersIdle(frames, leftMs), watch.begun()]));
    if (watch.hasBegun || live.dialogs.isAsking) continue;
    if (live.habits.isIdle && !chrome.downloads.isComing) return true;
    isDownloadingAlone = live.habits.isIdle && Date.now() < endsAtMs;
    const ended = Promise.all([live.habits.idle(), chrome.downloads.come()]);
    await unlessAsked(Promise.race([within(ended, leftMs), watch.begun()]));
  }
}
