import type { Current } from "./keeper.ts";

/** Work on a page under a signal that also aborts when the page is lost. */
export async function watched<T>(
  { live }: Current,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  try {
    return await work(AbortSignal.any([signal, live.lost]));
  } catch (failure) {
    // A command that was under way when the page went only says that its session is closed.
    live.lost.throwIfAborted();
    throw failure;
  }
}
