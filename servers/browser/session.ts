import { type ErrorCode, ToolError } from "../shared/errors.ts";
import type { BrowserSession } from "./browser-session.ts";
import type { ReadingRequest } from "./page-reading.ts";

/** A caller's browsers, each with its own cookies and one page that stays open between calls. */
export interface BrowserSessions {
  /** The caller's browser of that name. Costs nothing until a method is called. */
  named(name: string): Browser;
}

/**
 * One browser. Calls take turns. Each rejects with `unavailable` where Chrome or the page is gone, with `timeout`
 * where the page does not answer, with `cancelled` soon after `signal` aborts; the next `open` works again.
 */
export interface Browser {
  /**
   * Loads a page, in a new Chrome where there is none. Resolves when it has loaded, or after 25 s with what there is.
   * Rejects with `forbidden` where the network policy refuses the URL or a redirect.
   */
  open(url: string, signal: AbortSignal): Promise<OpenedPage>;
  /** The open page as text. Rejects with `not_found` where none was opened. */
  snapshot(maxChars: number, signal: AbortSignal): Promise<PageSnapshot>;
  /** The open page, a part of it, or the page of a URL on its own, as text. Rejects as `open` and `snapshot` do. */
  read(request: ReadRequest, signal: AbortSignal): Promise<OpenedPage>;
  /** A picture of at most 1280×5000 pixels and 3.5 MB. Rejects with `not_found` where no page was opened. */
  screenshot(request: ScreenshotRequest, signal: AbortSignal): Promise<Screenshot>;
}

export interface PageSnapshot {
  readonly url: string;
  /** Written by the page, as `content` is: hostile text. One line. */
  readonly title: string;
  /** What happened since the last call, in our words. */
  readonly notes: readonly string[];
  readonly content: string;
  readonly isCut: boolean;
}

export interface OpenedPage extends PageSnapshot {
  /** HTTP status of the document; absent where it did not come over HTTP or only its fragment changed. */
  readonly status?: number;
}

export interface ReadRequest extends ReadingRequest {
  /** Read in a Chrome of its own instead of the open page; goes with no ref. */
  readonly url?: string;
}

export interface ScreenshotRequest {
  readonly format: "png" | "jpeg";
  readonly isFullPage: boolean;
}

export interface Screenshot {
  readonly url: string;
  readonly base64: string;
  readonly mimeType: "image/png" | "image/jpeg";
  readonly width: number;
  readonly height: number;
  readonly notes: readonly string[];
}

/** How a call on the Durable Object ended: an error's code would not survive the way back. */
export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly code: ErrorCode; readonly message: string };

export function createBrowserSessions(
  namespace: DurableObjectNamespace<BrowserSession>,
  userId: string,
): BrowserSessions {
  return {
    named: (name) => {
      const session = namespace.get(namespace.idFromName(`${userId}/browser/${name}`));
      const call = async <T>(start: (callId: string) => Promise<Outcome<T>>, signal: AbortSignal): Promise<T> => {
        const callId = crypto.randomUUID();
        const cancelled = Promise.withResolvers<void>();
        const onAbort = (): void => cancelled.resolve(session.cancel(callId));
        if (signal.aborted) throw new ToolError("cancelled", "The call was cancelled by the client.");
        signal.addEventListener("abort", onAbort, { once: true });
        try {
          const outcome = await start(callId);
          if (outcome.ok) return outcome.value;
          throw new ToolError(outcome.code, outcome.message);
        } finally {
          signal.removeEventListener("abort", onAbort);
          if (signal.aborted) await cancelled.promise;
        }
      };
      return {
        open: async (url, signal) => await call((callId) => session.open(callId, url), signal),
        snapshot: async (maxChars, signal) => await call((callId) => session.snapshot(callId, maxChars), signal),
        read: async (request, signal) => await call((callId) => session.read(callId, request), signal),
        screenshot: async (request, signal) => await call((callId) => session.screenshot(callId, request), signal),
      };
    },
  };
}
