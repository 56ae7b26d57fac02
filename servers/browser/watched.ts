import type { Current } from "./keeper.ts";

/** Work on a page under a signal that also aborts when the page is lost, or all of Chrome. */
export async function watched<T>(
  { chrome, live }: Current,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  try {
    return await work(AbortSignal.any([signal, live.lost, chrome.ended]));
  } catch (failure) {
    // A command that was under way when the page went only says that its session is closed.
    chrome.ended.throwIfAborted();
    live.lost.throwIfAborted();
    throw failure;
  }
}
