import type { BrowserWorker } from "@cloudflare/puppeteer";
import type { NetworkPolicy } from "../shared/network-policy.ts";
import { orAborted } from "./abort.ts";
import { Chrome, acquireChrome, discardChrome } from "./chrome.ts";
import { FrameNumbers } from "./frame-numbers.ts";
import { LivePage } from "./live-page.ts";
import { navigate, pageUrl } from "./navigation.ts";
import { type Reading, type ReadingRequest, readPage } from "./page-reading.ts";

/** What scripts put on a page comes a moment later. */
const ATTEMPTS = 6;
const WAIT_MS = 300;

export interface ReadOnce extends Reading {
  readonly url: string;
  readonly status?: number;
  readonly notes: readonly string[];
}

/**
 * Reads a page in a Chrome of its own, which has no cookies and ends with the call. Quick actions of the platform would
 * do with less, but know no network policy: they watch over the one page alone, not over its pop-ups and workers.
 */
export async function readOnce(
  binding: BrowserWorker,
  policy: NetworkPolicy,
  url: string,
  request: Omit<ReadingRequest, "ref">,
  signal: AbortSignal,
): Promise<ReadOnce> {
  const href = pageUrl(url, policy);
  const acquiring = acquireChrome(binding);
  try {
    const chrome = await Chrome.connect(binding, await orAborted(acquiring, signal), policy, signal);
    const live = (await orAborted(LivePage.find(chrome), signal)) ?? (await orAborted(LivePage.create(chrome), signal));
    return await readIn(chrome, live, href, request, AbortSignal.any([signal, live.lost]));
  } finally {
    // It may come when nobody waits for it any more, or not at all.
    const discarded = acquiring
      .then(async (sessionId) => await discardChrome(binding, sessionId))
      .catch(() => undefined);
    if (!signal.aborted) await discarded;
  }
}

async function readIn(
  chrome: Chrome,
  live: LivePage,
  href: string,
  request: Omit<ReadingRequest, "ref">,
  signal: AbortSignal,
): Promise<ReadOnce> {
  const { status, hasLoaded } = await navigate(chrome, live, href, signal);
  if (!hasLoaded) chrome.notes.add("The page is still loading.");
  let reading: Reading | undefined;
  for (let attempt = 1; attempt <= ATTEMPTS && (reading?.content ?? "") === ""; attempt += 1) {
    if (attempt > 1) await orAborted(scheduler.wait(WAIT_MS), signal);
    reading = await orAborted(readPage(live.page, new FrameNumbers(), live.log, request), signal);
  }
  return {
    ...(reading ?? { title: "", content: "", isCut: false }),
    url: live.page.url(),
    notes: chrome.notes.take(),
    ...(status === undefined ? {} : { status }),
  };
}
