import { DurableObject } from "cloudflare:workers";
import type { BrowserWorker } from "@cloudflare/puppeteer";
import { consoleLog, describeFailure } from "../core/log.ts";
import { ToolError } from "../shared/errors.ts";
import type { NetworkPolicy } from "../shared/network-policy.ts";
import { parseSettings } from "../shared/settings.ts";
import { type AccessibilityNode, nameOf } from "./accessibility-node.ts";
import { readAccessibility } from "./accessibility.ts";
import { orAborted, within } from "./abort.ts";
import { KEEP_ALIVE_MS } from "./chrome.ts";
import { type Current, Keeper, noChrome } from "./keeper.ts";
import { navigate, pageUrl } from "./navigation.ts";
import { readPage } from "./page-reading.ts";
import { readOnce } from "./read-once.ts";
import { takeScreenshot } from "./screenshot.ts";
import type { OpenedPage, Outcome, PageSnapshot, ReadRequest, Screenshot, ScreenshotRequest } from "./session.ts";
import { renderPage } from "./snapshot.ts";
import { tidy } from "./snapshot-writer.ts";
import { Turns } from "./turns.ts";

export interface BrowserSessionBindings {
  /** Absent where there is no Chrome. */
  readonly BROWSER?: BrowserWorker;
}

/** Clients wait for 55 s. */
const CALL_LIMIT_MS = 50_000;
const READ_LIMIT_MS = 15_000;
const PICTURE_LIMIT_MS = 25_000;
/** Of a page that has just been opened. */
const OPEN_CHARS = 2_000;
const OPEN_READ_LIMIT_MS = 5_000;
const FILL_ATTEMPTS = 6;
const FILL_WAIT_MS = 300;
const MAX_TITLE_CHARS = 200;

type ReadPage = Pick<PageSnapshot, "title" | "content" | "isCut">;

/** One person's browser of one name: holds the live page from call to call, and ends it after ten minutes unused. */
export class BrowserSession extends DurableObject<BrowserSessionBindings> {
  readonly #policy: NetworkPolicy;
  readonly #keeper: Keeper;
  readonly #turns = new Turns(CALL_LIMIT_MS);
  #usedAtMs = 0;

  constructor(state: DurableObjectState, env: BrowserSessionBindings) {
    super(state, env);
    const settings = parseSettings({ ...env });
    this.#policy = { allowedHosts: settings.ALLOWED_HOSTS, suiteOrigin: settings.PUBLIC_URL };
    this.#keeper = new Keeper(state.storage, env.BROWSER, this.#policy);
  }

  async open(callId: string, url: string): Promise<Outcome<OpenedPage>> {
    return await this.#call(callId, async (signal) => {
      const href = pageUrl(url, this.#policy);
      const current = await this.#keeper.provide(signal);
      const { chrome, live } = current;
      live.forgive();
      return await watched(current, signal, async (lostOrAborted) => {
        const { status, hasLoaded } = await navigate(chrome, live, href, lostOrAborted);
        if (!hasLoaded) chrome.notes.add("The page is still loading.");
        const page = await orAborted(this.#readTop(current), lostOrAborted);
        return {
          ...page,
          url: live.page.url(),
          notes: chrome.notes.take(),
          ...(status === undefined ? {} : { status }),
        };
      });
    });
  }

  async snapshot(callId: string, maxChars: number): Promise<Outcome<PageSnapshot>> {
    return await this.#call(callId, async (signal) => {
      const current = await this.#keeper.resume(signal);
      const { chrome, live } = current;
      return await watched(current, signal, async (lostOrAborted) => {
        const read = await orAborted(within(this.#read(current, maxChars), READ_LIMIT_MS), lostOrAborted);
        if (read === undefined) throw await this.#busy();
        return { ...read, url: live.page.url(), notes: chrome.notes.take() };
      });
    });
  }

  async read(callId: string, { url, ref, what, maxChars }: ReadRequest): Promise<Outcome<OpenedPage>> {
    return await this.#call(callId, async (signal) => {
      if (url !== undefined) {
        if (ref !== undefined) throw new ToolError("invalid_input", "Give a url or a ref of the open page, not both.");
        if (this.env.BROWSER === undefined) throw noChrome();
        return await readOnce(this.env.BROWSER, this.#policy, url, { what, maxChars }, signal);
      }
      const current = await this.#keeper.resume(signal);
      const { chrome, live, frames } = current;
      return await watched(current, signal, async (lostOrAborted) => {
        const request = { what, maxChars, ...(ref === undefined ? {} : { ref }) };
        const reading = readPage(live.page, frames, live.log, request);
        const read = await orAborted(within(reading, READ_LIMIT_MS), lostOrAborted);
        if (read === undefined) throw await this.#busy();
        return { ...read, url: live.page.url(), notes: chrome.notes.take() };
      });
    });
  }

  async screenshot(callId: string, request: ScreenshotRequest): Promise<Outcome<Screenshot>> {
    return await this.#call(callId, async (signal) => {
      const current = await this.#keeper.resume(signal);
      const { chrome, live } = current;
      return await watched(current, signal, async (lostOrAborted) => {
        const picture = await orAborted(within(takeScreenshot(live.session, request), PICTURE_LIMIT_MS), lostOrAborted);
        if (picture === undefined) throw await this.#busy();
        return { ...picture, url: live.page.url(), notes: [...picture.notes, ...chrome.notes.take()] };
      });
    });
  }

  /** Ends a call that nobody waits for any more. */
  cancel(callId: string): void {
    this.#turns.cancel(callId);
  }

  override async alarm(): Promise<void> {
    const unusedMs = Date.now() - this.#usedAtMs;
    if (!this.#turns.isBusy && unusedMs >= KEEP_ALIVE_MS) return await this.#keeper.end();
    await this.ctx.storage.setAlarm(Date.now() + Math.max(1_000, KEEP_ALIVE_MS - unusedMs));
  }

  async #call<T>(callId: string, work: (signal: AbortSignal) => Promise<T>): Promise<Outcome<T>> {
    this.#usedAtMs = Date.now();
    try {
      return { ok: true, value: await this.#turns.take(callId, work) };
    } catch (failure) {
      if (!(failure instanceof ToolError)) throw failure;
      const { code, message, cause } = failure;
      if (cause !== undefined) consoleLog.info("browser failed", { code, cause: describeFailure(cause) });
      return { ok: false, code, message };
    } finally {
      this.#usedAtMs = Date.now();
    }
  }

  async #busy(): Promise<ToolError> {
    await this.#keeper.probe();
    return new ToolError(
      "timeout",
      "The page is busy and does not answer; try again in a moment, or open another page.",
    );
  }

  /** The top of a page that has just loaded, as far as it can be read. */
  async #readTop(current: Current): Promise<ReadPage> {
    try {
      const page = await within(this.#readFilled(current, FILL_ATTEMPTS), OPEN_READ_LIMIT_MS);
      if (page !== undefined) return page;
      current.chrome.notes.add("The page is busy; read it with browser_snapshot in a moment.");
    } catch (failure) {
      if (!(failure instanceof ToolError) || failure.code !== "too_large") throw failure;
      current.chrome.notes.add(failure.message);
    }
    return { title: "", content: "", isCut: false };
  }

  /** Scripts are given a moment to put something on the page. */
  async #readFilled(current: Current, attempts: number): Promise<ReadPage> {
    const page = await this.#read(current, OPEN_CHARS);
    if (page.content !== "" || attempts === 1) return page;
    await scheduler.wait(FILL_WAIT_MS);
    return await this.#readFilled(current, attempts - 1);
  }

  async #read(current: Current, maxChars: number): Promise<ReadPage> {
    const { live, frames } = current;
    const numbered = frames.ids.length;
    const tree = await readAccessibility(live.page, (frameId) => frames.numberOf(frameId), maxChars);
    if (frames.ids.length > numbered) await this.#keeper.store(current);
    const { text, isCut } = renderPage(tree, maxChars);
    return { title: titleOf(tree.root), content: text, isCut };
  }
}

/** Work on a page under a signal that also aborts when the page is lost. */
async function watched<T>(
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

function titleOf(root: AccessibilityNode | undefined): string {
  return root === undefined ? "" : tidy(nameOf(root)).slice(0, MAX_TITLE_CHARS).toWellFormed();
}
