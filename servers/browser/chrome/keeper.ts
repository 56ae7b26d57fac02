import type { BrowserWorker } from "@cloudflare/puppeteer";
import * as z from "zod";
import type { SessionTime } from "../../account/session-time.ts";
import { ToolError } from "../../shared/errors.ts";
import type { NetworkPolicy } from "../../shared/network-policy.ts";
import { orAborted, within } from "./abort.ts";
import type { BrowserLook } from "../session.ts";
import { Chrome, KEEP_ALIVE_MS, acquireChrome, discardChrome } from "./chrome.ts";
import type { LivePage } from "./live-page.ts";
import { PlatformRefusal, isNotNow, notNow } from "./platform-refusal.ts";
import { refRecordSchema } from "../snapshot/ref-book.ts";

/** What is in use: a Chrome, and one of its tabs. */
export interface Current {
  readonly chrome: Chrome;
  readonly live: LivePage;
}

const RECORD = "session";
const recordSchema = z.object({
  sessionId: z.string(),
  targetId: z.string().optional(),
  usedAtMs: z.number(),
  tabs: z.array(z.object({ number: z.int(), targetId: z.string() })),
  refs: refRecordSchema,
});
type BrowserRecord = z.output<typeof recordSchema>;

/** Longer than a tab may take that does not answer, beside which others do. */
const RECONNECT_LIMIT_MS = 25_000;
/** A page that takes longer is closed, and its history with it. */
const ANSWER_LIMIT_MS = 3_000;

/** Keeps one Chrome and its tabs from call to call; after an eviction finds them by the ids that it stored. */
export class Keeper {
  readonly #storage: DurableObjectStorage;
  readonly #binding: BrowserWorker | undefined;
  readonly #policy: NetworkPolicy;
  readonly #time: SessionTime;
  #chrome: Chrome | undefined;
  #acquiring: Promise<void> | undefined;

  constructor(
    storage: DurableObjectStorage,
    binding: BrowserWorker | undefined,
    policy: NetworkPolicy,
    time: SessionTime,
  ) {
    this.#storage = storage;
    this.#binding = binding;
    this.#policy = policy;
    this.#time = time;
  }

  /** The page that was opened. Rejects with `not_found` where none was, with `unavailable` where it is gone. */
  async resume(signal: AbortSignal): Promise<Current> {
    const current = await this.resumeAny(signal);
    if (current.live.hasFailed) {
      throw new ToolError(
        "not_found",
        'The last page could not be loaded; go back with browser_open {"go": "back"}, or open another one.',
      );
    }
    if (current.live.isBlank) throw nothingOpen();
    return current;
  }

  /** As `resume`, also where the last page could not be loaded or none has been. */
  async resumeAny(signal: AbortSignal): Promise<Current> {
    const chrome = await this.attach(signal);
    const live = await chrome.tabs.currentOrGuest();
    if (live === undefined) throw nothingOpen();
    live.lost.throwIfAborted();
    return { chrome, live };
  }

  /** The Chrome that there is. Rejects as `resume` does. */
  async attach(signal: AbortSignal): Promise<Chrome> {
    const chrome = this.alive ?? (await this.#reconnect(signal));
    if (chrome === undefined) throw nothingOpen();
    return chrome;
  }

  /** A page that answers: the one that there is, else a new one in the same Chrome, else in a new Chrome. */
  async provide(signal: AbortSignal): Promise<Current> {
    const found = await this.#findAnswering(signal);
    if (typeof found === "object") return found;
    const launched = await this.#launch(signal);
    if (found === "ended") launched.chrome.notes.add("The browser had ended; this is a new one, without its cookies.");
    return launched;
  }

  async #findAnswering(signal: AbortSignal): Promise<Current | "ended" | "none"> {
    const chrome = this.alive;
    const live = chrome?.tabs.current;
    if (chrome !== undefined) {
      // What the page before did is of no interest any more.
      chrome.notes.take();
      await live?.dialogs.dismiss();
      if (live !== undefined && (await answers(live, signal))) return { chrome, live };
      await this.probe();
      if (!chrome.ended.aborted) {
        live?.lose("The page did not answer and was closed; open it again with browser_open.");
        return { chrome, live: await orAborted(chrome.tabs.open(), signal) };
      }
    }
    const again = await this.#findAgain(signal);
    return typeof again === "object" ? await this.#tabOf(again, signal) : again;
  }

  async #findAgain(signal: AbortSignal): Promise<Chrome | "ended" | "none"> {
    try {
      return (await this.#reconnect(signal)) ?? "none";
    } catch (failure) {
      // What cannot be reached now is not lost: another Chrome in its place would leave it behind.
      if (signal.aborted || isNotNow(failure)) throw failure;
      return "ended";
    }
  }

  /** The Chrome that there is, whatever its tabs are at, else a new one. */
  async provideChrome(signal: AbortSignal): Promise<Chrome> {
    const found = this.alive ?? (await this.#findAgain(signal));
    return typeof found === "object" ? found : (await this.#launch(signal)).chrome;
  }

  async #tabOf(chrome: Chrome, signal: AbortSignal): Promise<Current> {
    return { chrome, live: chrome.tabs.current ?? (await orAborted(chrome.tabs.open(), signal)) };
  }

  /**
   * Gives a connection up that has gone silent: a message above the platform's limit, which a page can bring about,
   * ends it without a word. Chrome itself lives on and is found again by the next call.
   */
  async probe(): Promise<void> {
    const chrome = this.alive;
    const asked = chrome?.browser.version().catch(() => undefined);
    if (asked !== undefined && (await within(asked, ANSWER_LIMIT_MS)) === undefined) await chrome?.browser.disconnect();
  }

  /** Ends Chrome, whatever it is doing; the next call says that it has ended. */
  async end(): Promise<void> {
    const record = await this.#record();
    this.#chrome = undefined;
    if (record === undefined || this.#binding === undefined) return;
    await discardChrome(this.#binding, record.sessionId);
    this.#time.end(record.sessionId, Date.now());
  }

  /** Ends Chrome at a person's wish: the next call finds nothing open. */
  async close(): Promise<void> {
    // One that is on its way is ended too.
    await this.#acquiring?.catch(() => undefined);
    const record = await this.#record();
    await this.end();
    if (record !== undefined) await this.#drop(record.sessionId);
  }

  /** When a call last used the browser, as far as that was stored; 0 where none is open. */
  async usedAtMs(): Promise<number> {
    return (await this.#record())?.usedAtMs ?? 0;
  }

  /** How the browser is, as far as that is known without speaking to Chrome; nothing where none is open. */
  async look(nowMs: number): Promise<BrowserLook | undefined> {
    const record = await this.#record();
    if (record === undefined) return undefined;
    const { usedAtMs, targetId, tabs } = record;
    const alive = this.alive;
    if (alive !== undefined) return { usedAtMs, tabs: alive.tabs.list() };
    // One that was unused for that long has ended, and is remembered so that the next call can say it.
    if (nowMs - usedAtMs >= KEEP_ALIVE_MS) return undefined;
    return {
      usedAtMs,
      tabs: tabs.map((tab) => ({ number: tab.number, url: "", isCurrent: tab.targetId === targetId })),
    };
  }

  /** Forgets that Chrome; another one may have taken its place meanwhile. */
  async #drop(sessionId: string): Promise<void> {
    if ((await this.#record())?.sessionId === sessionId) await this.#storage.delete(RECORD);
  }

  /** Stores what finds the tabs and their elements again. Nobody waits for it: what is not stored is asked for anew. */
  store(): void {
    const chrome = this.alive;
    if (chrome === undefined) return;
    const { sessionId, tabs } = chrome;
    const targetId = tabs.current?.targetId;
    const record: BrowserRecord = {
      sessionId,
      usedAtMs: Date.now(),
      tabs: tabs.records,
      refs: tabs.refs.record,
      ...(targetId === undefined ? {} : { targetId }),
    };
    void this.#storage.put(RECORD, record, { allowUnconfirmed: true });
  }

  /** The Chrome that we are connected to. */
  get alive(): Chrome | undefined {
    return this.#chrome?.ended.aborted === false ? this.#chrome : undefined;
  }

  /** A Chrome that is on its way when its call is given up is there for the next call. */
  async #launch(signal: AbortSignal): Promise<Current> {
    if (this.#binding === undefined) {
      throw new ToolError("unavailable", "There is no Chrome here; have Pincer started again with one installed.");
    }
    this.#acquiring ??= this.#acquire(this.#binding).finally(() => {
      this.#acquiring = undefined;
    });
    await orAborted(this.#acquiring, signal);
    const chrome = await this.#reconnect(signal);
    if (chrome === undefined) throw new Error("A Chrome that was just started is not known.");
    return await this.#tabOf(chrome, signal);
  }

  async #acquire(binding: BrowserWorker): Promise<void> {
    const record: BrowserRecord = {
      sessionId: await acquireChrome(binding),
      usedAtMs: Date.now(),
      tabs: [],
      refs: [],
    };
    this.#time.begin(record.sessionId, Date.now());
    await Promise.all([this.#storage.put(RECORD, record), this.#storage.setAlarm(Date.now() + KEEP_ALIVE_MS)]);
  }

  /** After an eviction, or a start. Rejects with `unavailable` where Chrome cannot be used any more, and forgets it. */
  async #reconnect(signal: AbortSignal): Promise<Chrome | undefined> {
    const record = await this.#record();
    if (record === undefined || this.#binding === undefined) return undefined;
    const limited = AbortSignal.any([signal, AbortSignal.timeout(RECONNECT_LIMIT_MS)]);
    let chrome: Chrome | undefined;
    try {
      chrome = await Chrome.connect(this.#binding, record, this.#policy, limited);
      await orAborted(chrome.tabs.resume(record.targetId), limited);
      this.#time.begin(record.sessionId, Date.now());
      if ((await this.#storage.getAlarm()) === null) await this.#storage.setAlarm(Date.now() + KEEP_ALIVE_MS);
      this.#chrome = chrome;
      return chrome;
    } catch (cause) {
      // Two connections would get into each other's way.
      chrome?.browser.disconnect().catch(() => undefined);
      if (signal.aborted) throw cause;
      if (cause instanceof PlatformRefusal && cause.isTemporary) throw notNow(cause);
      await this.#forget(this.#binding, record.sessionId);
      const message =
        "The browser has ended, after ten minutes unused or by a crash; open the page again with browser_open.";
      throw new ToolError("unavailable", message, { cause });
    }
  }

  async #forget(binding: BrowserWorker, sessionId: string): Promise<void> {
    this.#time.end(sessionId, Date.now());
    await Promise.all([this.#drop(sessionId), discardChrome(binding, sessionId)]);
  }

  async #record(): Promise<BrowserRecord | undefined> {
    return recordSchema.safeParse(await this.#storage.get(RECORD)).data;
  }
}

function nothingOpen(): ToolError {
  return new ToolError("not_found", "No page is open in this browser; open one with browser_open.");
}

/** Whether the page is there, and its scripts leave it time to answer. */
async function answers({ session, lost }: LivePage, signal: AbortSignal): Promise<boolean> {
  if (lost.aborted) return false;
  const asked = session.send("Memory.getDOMCounters").catch(() => undefined);
  return (await orAborted(within(asked, ANSWER_LIMIT_MS), signal)) !== undefined;
}
