import { ToolError } from "../../shared/errors.ts";
import { PageElement } from "./element.ts";
import type { Current } from "../chrome/keeper.ts";
import type { LivePage } from "../chrome/live-page.ts";
import type { WaitRequest } from "../session.ts";
import { type View, look } from "../snapshot/view.ts";

const CHECK_MS = 150;
const QUIET_MS = 300;
/** A text further down a very long page is not waited for. */
const SEARCHED_CHARS = 40_000;

/**
 * Resolves when all that is asked for holds, with the page as it is then. Rejects with `timeout`, and says what does
 * not hold, once `limitMs` are over.
 */
export async function waitFor(current: Current, request: WaitRequest, signal: AbortSignal): Promise<View> {
  const endsAtMs = Date.now() + request.limitMs;
  for (;;) {
    const view = await look(current, SEARCHED_CHARS);
    const missing = await whatIsMissing(current, request, view, signal);
    if (missing === undefined || current.live.dialogs.isAsking) return view;
    if (Date.now() >= endsAtMs) {
      throw new ToolError(
        "timeout",
        `${missing} within ${request.limitMs / 1000} s; look at the page with browser_snapshot, or wait again.`,
      );
    }
    await scheduler.wait(CHECK_MS);
    signal.throwIfAborted();
  }
}

async function whatIsMissing(
  { live }: Current,
  { text, gone, url, ref, isIdle }: WaitRequest,
  view: View,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (url !== undefined && !live.page.url().includes(url)) return "The URL did not come to hold that";
  if (text !== undefined && !holds(view, text)) return "The text did not come";
  if (gone !== undefined && holds(view, gone)) return "The text did not go away";
  if (isIdle && !(await isQuiet(live))) return "The page's requests did not end";
  if (ref === undefined) return undefined;
  const element = await PageElement.find(live, ref);
  return await element.point(signal).then(
    () => undefined,
    (failure: unknown) => {
      if (failure instanceof ToolError && failure.code === "conflict") return `${element.ref} was not ready`;
      throw failure;
    },
  );
}

/** Between two requests that follow each other there is a moment without any. */
async function isQuiet({ habits }: LivePage): Promise<boolean> {
  if (!habits.isQuiet) return false;
  await scheduler.wait(QUIET_MS);
  return habits.isQuiet;
}

/** Where lines break is nothing to a reader. */
function holds({ text, title }: View, wanted: string): boolean {
  return plain(`${title}\n${text}`).includes(plain(wanted));
}

function plain(text: string): string {
  return text.replace(/\s+/g, " ").trim().toLowerCase();
}
