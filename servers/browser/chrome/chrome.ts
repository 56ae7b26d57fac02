import puppeteer, { type Browser, type BrowserWorker, type CDPSession } from "@cloudflare/puppeteer";
import { ToolError } from "../../shared/errors.ts";
import type { NetworkPolicy } from "../../shared/network-policy.ts";
import { orAborted } from "./abort.ts";
import { Downloads } from "./downloads.ts";
import { NetworkGate } from "./network-gate.ts";
import { Notes } from "./notes.ts";
import { connectTo, explainRefusal, patiently, refusing } from "./platform-refusal.ts";
import type { SharedConnection } from "./shared-connection.ts";
import { RefBook, type RefRecord } from "../snapshot/ref-book.ts";
import type { TabRecord } from "./tab.ts";
import { Tabs } from "./tabs.ts";

/** How long the platform keeps a Chrome that nobody talks to; the longest that it allows. */
export const KEEP_ALIVE_MS = 600_000;
/** Waiting out a refusal of the platform helps only where it is short; a page that is open should not keep one long. */
const MAX_START_WAIT_MS = 10_000;
const MAX_CONNECT_WAIT_MS = 2_000;

/** What is known of a Chrome that was started before. */
export interface KnownChrome {
  readonly sessionId: string;
  readonly tabs: readonly TabRecord[];
  readonly refs: RefRecord;
}

/** A Chrome that we are connected to, behind its gate. */
export class Chrome {
  readonly sessionId: string;
  readonly browser: Browser;
  /** What puppeteer shares with clients of their own. */
  readonly connection: SharedConnection;
  /** A session of the browser target. */
  readonly control: CDPSession;
  readonly gate: NetworkGate;
  readonly tabs: Tabs;
  readonly notes: Notes;
  readonly downloads: Downloads;
  readonly #ended = new AbortController();

  private constructor(
    parts: Pick<Chrome, "sessionId" | "browser" | "connection" | "control" | "gate" | "tabs" | "notes" | "downloads">,
  ) {
    this.sessionId = parts.sessionId;
    this.browser = parts.browser;
    this.connection = parts.connection;
    this.control = parts.control;
    this.gate = parts.gate;
    this.tabs = parts.tabs;
    this.notes = parts.notes;
    this.downloads = parts.downloads;
    this.browser.on("disconnected", () => {
      this.#ended.abort(new ToolError("unavailable", "Chrome has ended; open the page again with browser_open."));
    });
  }

  /** Connects to a Chrome that was started before, and to its tabs. Rejects where it has ended, or is not to be had. */
  static async connect(
    binding: BrowserWorker,
    { sessionId, tabs: records, refs }: KnownChrome,
    policy: NetworkPolicy,
    signal: AbortSignal,
  ): Promise<Chrome> {
    const connecting = patiently(async () => await connectTo(binding, sessionId), MAX_CONNECT_WAIT_MS);
    // It may come when nobody waits for it any more.
    connecting
      .then(async (late) => (signal.aborted ? await late.browser.disconnect() : undefined))
      .catch(() => undefined);
    const { browser, connection } = await orAborted(connecting, signal);
    try {
      const notes = new Notes();
      const control = await orAborted(browser.target().createCDPSession(), signal);
      const gate = await orAborted(NetworkGate.guard(control, policy, notes), signal);
      const tabs = await orAborted(
        Tabs.watch({ browser, control, gate, notes, records, refs: new RefBook(refs) }),
        signal,
      );
      const downloads = await orAborted(
        Downloads.watch(control, notes, (frameId) => tabs.frame(frameId)),
        signal,
      );
      gate.documents = downloads;
      return new Chrome({ sessionId, browser, connection, control, gate, tabs, notes, downloads });
    } catch (cause) {
      // Nothing is done with it without its gate.
      browser.disconnect().catch(() => undefined);
      throw cause;
    }
  }

  /** Aborts, with the reason as a `ToolError`, when Chrome is there no more. */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }
}

/** Starts a Chrome and returns its session's id. Rejects with `unavailable` or `limit_reached`, and says what to do. */
export async function acquireChrome(binding: BrowserWorker): Promise<string> {
  const acquire = async (): Promise<string> =>
    (await puppeteer.acquire(refusing(binding), { keep_alive: KEEP_ALIVE_MS })).sessionId;
  try {
    return await patiently(acquire, MAX_START_WAIT_MS);
  } catch (cause) {
    throw await explainRefusal(cause, binding);
  }
}

/** Ends a Chrome that cannot be used, so that it does not stay behind; it may have ended by itself. */
export async function discardChrome(binding: BrowserWorker, sessionId: string): Promise<void> {
  // puppeteer ends only browsers that it is connected to.
  await binding
    .fetch(`https://browser.invalid/v1/devtools/browser/${sessionId}`, { method: "DELETE" })
    .catch(() => undefined);
}
