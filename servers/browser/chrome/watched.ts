import { ToolError } from "../../shared/errors.ts";
import { within } from "./abort.ts";
import type { Current } from "./keeper.ts";

/** For the news that the page is gone, which may come after its last command has failed. */
const NEWS_LIMIT_MS = 1_000;

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
    if (!(failure instanceof ToolError))
      await within(aborted(AbortSignal.any([live.lost, chrome.ended])), NEWS_LIMIT_MS);
    chrome.ended.throwIfAborted();
    live.lost.throwIfAborted();
    throw failure;
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  const happened = Promise.withResolvers<void>();
  if (signal.aborted) happened.resolve();
  signal.addEventListener("abort", () => happened.resolve(), { once: true });
  await happened.promise;
}
