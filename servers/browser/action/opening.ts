import { ToolError } from "../../shared/errors.ts";
import type { NetworkPolicy } from "../../shared/network-policy.ts";
import { orAborted } from "../chrome/abort.ts";
import { settleAfter } from "./action.ts";
import type { Chrome } from "../chrome/chrome.ts";
import type { Current, Keeper } from "../chrome/keeper.ts";
import { navigate, pageUrl } from "./navigation.ts";
import { shownUrl } from "../page-text.ts";
import type { OpenRequest, OpenedPage, RemoteFiles } from "../session.ts";
import { importStorage } from "../chrome/storage-transfer.ts";
import { lookFilled, lookIfPossible } from "../snapshot/view.ts";
import { watched } from "../chrome/watched.ts";

/** Of a page that has just been opened. */
const OPEN_CHARS = 2_000;

/** Loads a page, goes through the history, or turns to another tab, and shows the top of what is there then. */
export async function openPage(
  keeper: Keeper,
  policy: NetworkPolicy,
  { url, go, tab, storage }: OpenRequest,
  files: RemoteFiles,
  signal: AbortSignal,
): Promise<OpenedPage> {
  const href = url === undefined ? undefined : pageUrl(url, policy);
  const current =
    go !== undefined && tab === undefined
      ? await keeper.resumeAny(signal)
      : await tabFor(keeper, tab, href !== undefined, signal);
  const { chrome, live } = current;
  live.dialogs.forgive();
  chrome.tabs.forgive();
  return await watched(current, signal, async (lostOrAborted) => {
    if (go !== undefined) await live.dialogs.dismiss();
    if (storage !== undefined) await orAborted(importStorage(current, storage), lostOrAborted);
    const status =
      href !== undefined
        ? await load(current, href, lostOrAborted)
        : go !== undefined
          ? await goThrough(current, go, lostOrAborted)
          : undefined;
    await chrome.downloads.deliver(files, lostOrAborted);
    const page = await orAborted(show(current, tab !== undefined), lostOrAborted);
    keeper.store();
    return { ...page, ...(status === undefined ? {} : { status }) };
  });
}

async function tabFor(
  keeper: Keeper,
  tab: OpenRequest["tab"],
  isLoading: boolean,
  signal: AbortSignal,
): Promise<Current> {
  if (tab === undefined) return isLoading ? await keeper.provide(signal) : await keeper.resume(signal);
  if (tab === "new") {
    const { chrome } = await keeper.provide(signal);
    return { chrome, live: await orAborted(chrome.tabs.openUnlessBlank(), signal) };
  }
  const chrome = await keeper.attach(signal);
  return { chrome, live: await orAborted(chrome.tabs.select(tab), signal) };
}

async function load({ chrome, live }: Current, href: string, signal: AbortSignal): Promise<number | undefined> {
  const { status, hasLoaded } = await navigate(chrome, live, href, signal);
  if (!hasLoaded) chrome.notes.add("The page is still loading.");
  return status;
}

async function goThrough(
  { chrome, live }: Current,
  go: "back" | "forward" | "reload",
  signal: AbortSignal,
): Promise<number | undefined> {
  const { session } = live;
  const { currentIndex, entries } = await session.send("Page.getNavigationHistory");
  const entry = entries[currentIndex + (go === "back" ? -1 : 1)];
  if (go !== "reload" && (entry === undefined || entry.url === "about:blank")) {
    throw new ToolError("not_found", `There is no page to go ${go} to; open one by its url.`);
  }
  const { status, hasSettled } = await settleAfter({ chrome, live }, live.page.mainFrame(), signal, async (ready) => {
    await ready;
    if (go === "reload") await session.send("Page.reload");
    else if (entry !== undefined) await session.send("Page.navigateToHistoryEntry", { entryId: entry.id });
  });
  if (!hasSettled) chrome.notes.add("The page is still loading.");
  return status;
}

async function show(current: Current, isListingTabs: boolean): Promise<OpenedPage> {
  const { chrome, live } = current;
  const view = live.dialogs.isAsking ? undefined : await lookIfPossible(current, lookFilled(current, OPEN_CHARS));
  if (live.dialogs.isAsking) chrome.notes.add("The page asks something and waits; answer it with browser_dialog.");
  const { content, isCut } =
    view === undefined ? { content: "", isCut: false } : { content: view.text, isCut: view.isCut };
  return {
    url: live.page.url(),
    title: view?.title ?? "",
    notes: chrome.notes.take(),
    content: [...live.dialogs.take(), ...(isListingTabs ? tabLines(chrome) : []), content]
      .filter((line) => line !== "")
      .join("\n"),
    isCut,
  };
}

function tabLines(chrome: Chrome): string[] {
  return chrome.tabs
    .list()
    .map(({ number, url, isCurrent }) => `tab ${number}${isCurrent ? " (this one)" : ""}: ${shownUrl(url)}`);
}
