import { DurableObject } from "cloudflare:workers";
import type { BrowserWorker } from "@cloudflare/puppeteer";
import { consoleLog, describeFailure } from "../core/log.ts";
import { ToolError } from "../shared/errors.ts";
import type { NetworkPolicy } from "../shared/network-policy.ts";
import { parseSettings } from "../shared/settings.ts";
import { type AccessibilityNode, nameOf } from "./accessibility-node.ts";
import { readAccessibility } from "./accessibility.ts";
import type { Account, CostRow } from "../account/account.ts";
import { orAborted, within } from "./abort.ts";
import { BrowserTime } from "./browser-time.ts";
import { KEEP_ALIVE_MS } from "./chrome.ts";
import { type Handoff, type HandoffRequest, handOff } from "./handoff.ts";
import { type Current, Keeper } from "./keeper.ts";
import { navigate, pageUrl } from "./navigation.ts";
import { takeScreenshot } from "./screenshot.ts";
import { personOf } from "./session-name.ts";
import type { OpenedPage, Outcome, PageSnapshot, Screenshot, ScreenshotRequest } from "./session.ts";
import { renderPage } from "./snapshot.ts";
import { tidy } from "./snapshot-writer.ts";
import { Turns } from "./turns.ts";

export interface BrowserSessionBindings {
  /** Absent where there is no Chrome. */
  readonly BROWSER?: BrowserWorker;
  readonly ACCOUNT: DurableObjectNamespace<Account>;
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
  readonly #time: BrowserTime | undefined;
  readonly #turns = new Turns(CALL_LIMIT_MS);
  #usedAtMs = 0;

  constructor(state: DurableObjectState, env: BrowserSessionBindings) {
    super(state, env);
    const settings = parseSettings({ ...env });
    this.#policy = { allowedHosts: settings.ALLOWED_HOSTS, suiteOrigin: settings.PUBLIC_URL };
    const isBilled = settings.SANDBOX_DRIVER === "container";
    this.#time = isBilled
      ? new BrowserTime(state.storage.kv, async (costs) => await this.#keepCosts(costs))
      : undefined;
    this.#keeper = new Keeper(state.storage, env.BROWSER, this.#policy, this.#time);
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

  async handOff(callId: string, request: HandoffRequest, onLink: (link: string) => void): Promise<Outcome<Handoff>> {
    return await this.#call(callId, async (signal) => {
      const current = await this.#keeper.resume(signal);
      const { kv } = this.ctx.storage;
      return await watched(current, signal, async (lostOrAborted) =>
        handOff(kv, current.live, request, onLink, lostOrAborted),
      );
    });
  }

  /** Ends a call that nobody waits for any more. */
  cancel(callId: string): void {
    this.#turns.cancel(callId);
  }

  override async alarm(): Promise<void> {
    const unusedMs = Date.now() - this.#usedAtMs;
    const isUnused = !this.#turns.isBusy && unusedMs >= KEEP_ALIVE_MS;
    if (isUnused) await this.#keeper.end();
    const isSettled = await this.#settle();
    if (isUnused && isSettled) return;
    await this.ctx.storage.setAlarm(
      Date.now() + (isUnused ? KEEP_ALIVE_MS : Math.max(1_000, KEEP_ALIVE_MS - unusedMs)),
    );
  }

  /** Puts the time that Chrome has run into the books; whether they could be reached. */
  async #settle(): Promise<boolean> {
    try {
      await this.#time?.settle(Date.now());
      return true;
    } catch (failure) {
      consoleLog.error("browser time not settled", { failure: describeFailure(failure) });
      return false;
    }
  }

  async #keepCosts(costs: readonly CostRow[]): Promise<void> {
    const { ACCOUNT } = this.env;
    await ACCOUNT.get(ACCOUNT.idFromName(personOf(this.ctx.id.name ?? ""))).keepCosts(costs);
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
