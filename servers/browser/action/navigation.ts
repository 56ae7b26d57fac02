import { ToolError } from "../../shared/errors.ts";
import { type NetworkPolicy, checkUrl } from "../../shared/network-policy.ts";
import { orAborted, within } from "../chrome/abort.ts";
import type { Chrome } from "../chrome/chrome.ts";
import type { LivePage } from "../chrome/live-page.ts";
import { LoadWatch } from "./load-watch.ts";

/** For the document to come and be parsed. */
const DOCUMENT_TIMEOUT_MS = 20_000;
/** Then for its pictures, styles and frames. */
const LOAD_TIMEOUT_MS = 5_000;
const ERROR_PAGE_TIMEOUT_MS = 2_000;

export interface Navigation {
  readonly status?: number;
  readonly hasLoaded: boolean;
}

/** The URL as the page of a browser; anything but http and https is refused before Chrome hears of it. */
export function pageUrl(input: string, policy: NetworkPolicy): string {
  const url = URL.canParse(input) ? new URL(input) : undefined;
  if (url === undefined || !["http:", "https:"].includes(url.protocol)) {
    throw new ToolError(
      "invalid_input",
      "Only http and https pages can be opened; give a whole URL, such as https://example.com/.",
    );
  }
  const verdict = checkUrl(url.href, policy);
  if (!verdict.allowed) throw new ToolError("forbidden", verdict.reason);
  return url.href;
}

/**
 * Takes the page to `url` and waits until it has loaded, through redirects that scripts make. What takes too long is
 * left as far as it has come; rejects with `timeout` where nothing has.
 */
export async function navigate(chrome: Chrome, live: LivePage, url: string, signal: AbortSignal): Promise<Navigation> {
  const { session, targetId: frameId } = live;
  using watch = new LoadWatch(session, frameId);
  const endsAtMs = Date.now() + DOCUMENT_TIMEOUT_MS;
  const sent = session.send("Page.navigate", { url });
  const begun = await orAborted(within(sent, DOCUMENT_TIMEOUT_MS), signal).catch(async (cause: unknown) => {
    await stop(live);
    throw cause;
  });
  if (begun === undefined) {
    await stop(live);
    throw new ToolError(
      "timeout",
      `${new URL(url).host} sent nothing within ${DOCUMENT_TIMEOUT_MS / 1000} s; try again, or another URL.`,
    );
  }
  if (begun.errorText !== undefined) {
    const refusal = chrome.gate.takeRefusal(frameId);
    if (begun.errorText === "net::ERR_ABORTED" && refusal === undefined && chrome.downloads.hasAny) {
      chrome.notes.add("That is a file and no page; it is kept in files.");
      return { hasLoaded: true };
    }
    // Chrome puts an error page there, unless it stays where it was.
    if (begun.errorText !== "net::ERR_ABORTED") await orAborted(within(watch.parsed(), ERROR_PAGE_TIMEOUT_MS), signal);
    throw failureOf(begun.errorText, url, refusal, "isDownload" in begun && begun.isDownload === true);
  }
  // What the page before has opened on its way out is not this one's fault.
  chrome.tabs.forgive();
  // Only the fragment has changed.
  if (begun.loaderId === undefined) return { hasLoaded: true };
  // A page that asks something comes no further until it is answered.
  const unlessAsked = async (loading: Promise<true>, limitMs: number): Promise<boolean> =>
    (await orAborted(within(Promise.race([loading, live.dialogs.asked()]), limitMs), signal)) === true;
  const hasLoaded =
    (await unlessAsked(watch.parsed(), endsAtMs - Date.now())) && (await unlessAsked(watch.loaded(), LOAD_TIMEOUT_MS));
  return {
    hasLoaded: hasLoaded || live.dialogs.isAsking,
    ...(watch.status === undefined ? {} : { status: watch.status }),
  };
}

async function stop(live: LivePage): Promise<void> {
  await within(
    live.session.send("Page.stopLoading").catch(() => undefined),
    1_000,
  );
}

function failureOf(errorText: string, url: string, refusal: string | undefined, isDownload: boolean): ToolError {
  const { host } = new URL(url);
  const cause = new Error(errorText);
  if (refusal !== undefined) return new ToolError("forbidden", `That page leads to another. ${refusal}`, { cause });
  if (isDownload)
    return new ToolError("invalid_input", "That is a file to download and no page; open a page.", { cause });
  const [code = ""] = /ERR_\w+/.exec(errorText) ?? [];
  if (code === "ERR_ABORTED")
    return new ToolError("unavailable", `${host} answered with no page to show; try another URL.`, { cause });
  if (/NAME|ADDRESS_INVALID/.test(code))
    return new ToolError("unavailable", `There is no host ${host}; check the URL.`, { cause });
  if (/CERT|SSL/.test(code))
    return new ToolError("unavailable", `${host} has no valid certificate; try another URL.`, { cause });
  if (code === "ERR_TOO_MANY_REDIRECTS")
    return new ToolError("unavailable", `${host} redirects in a circle; try another URL.`, { cause });
  if (/TIMED_OUT/.test(code))
    return new ToolError("timeout", `${host} did not answer; try again, or another URL.`, { cause });
  if (code === "ERR_TUNNEL_CONNECTION_FAILED" || code === "ERR_PROXY_CONNECTION_FAILED") {
    return new ToolError("unavailable", `${host} could not be reached from here, or is not allowed; try another URL.`, {
      cause,
    });
  }
  return new ToolError("unavailable", `${host} could not be reached (${code}); check the URL, or try again.`, {
    cause,
  });
}
