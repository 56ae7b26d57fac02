import type { BrowserWorker } from "@cloudflare/puppeteer";
import * as z from "zod";
import { ToolError } from "../shared/errors.ts";
import type { NetworkPolicy } from "../shared/network-policy.ts";
import { orAborted, within } from "./abort.ts";
import { Chrome, KEEP_ALIVE_MS, acquireChrome, discardChrome } from "./chrome.ts";
import { FrameNumbers } from "./frame-numbers.ts";
import { LivePage } from "./live-page.ts";

/** What is in use: a Chrome, its page, and the numbers of the page's frames. */
export interface Current {
  readonly chrome: Chrome;
  readonly live: LivePage;
  readonly frames: FrameNumbers;
}

const RECORD = "session";
const recordSchema = z.object({
  sessionId: z.string(),
  targetId: z.string().optional(),
  frameIds: z.array(z.string()),
});
type BrowserRecord = z.output<typeof recordSchema>;

const RECONNECT_LIMIT_MS = 10_000;
const ANSWER_LIMIT_MS = 1_000;

/** Keeps one Chrome and its page from call to call; after an eviction finds them by the ids that it stored. */
export class Keeper {
  readonly #storage: DurableObjectStorage;
  readonly #binding: BrowserWorker | undefined;
  readonly #policy: NetworkPolicy;
  #current: Current | undefined;
  #acquiring: Promise<void> | undefined;

  constructor(storage: DurableObjectStorage, binding: BrowserWorker | undefined, policy: NetworkPolicy) {
    this.#storage = storage;
    this.#binding = binding;
    this.#policy = policy;
  }

  /** The page that was opened. Rejects with `not_found` where none was, with `unavailable` where it is gone. */
  async resume(signal: AbortSignal): Promise<Current> {
    const current = this.#alive ?? (await this.#reconnect(signal));
    if (current === undefined || current.live.isBlank) {
      throw new ToolError("not_found", "No page is open in this browser; open one with browser_open.");
    }
    current.live.lost.throwIfAborted();
    return current;
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
    const current = this.#alive;
    if (current !== undefined) {
      // What the page before did is of no interest any more.
      current.chrome.notes.take();
      if (await answers(current.live, signal)) return this.#renumber(current);
      await this.probe();
      if (!current.chrome.ended.aborted) {
        current.live.lose("The page did not answer and was closed; open it again with browser_open.");
        return await this.#keep(current.chrome, await orAborted(LivePage.create(current.chrome), signal));
      }
    }
    try {
      return (await this.#reconnect(signal)) ?? "none";
    } catch (failure) {
      if (signal.aborted) throw failure;
      return "ended";
    }
  }

  /**
   * Gives a connection up that has gone silent: a message above the platform's limit, which a page can bring about,
   * ends it without a word. Chrome itself lives on and is found again by the next call.
   */
  async probe(): Promise<void> {
    const chrome = this.#alive?.chrome;
    const asked = chrome?.browser.version().catch(() => undefined);
    if (asked !== undefined && (await within(asked, ANSWER_LIMIT_MS)) === undefined) await chrome?.browser.disconnect();
  }

  /** Ends Chrome, whatever it is doing; the next call says that it has ended. */
  async end(): Promise<void> {
    const record = await this.#record();
    this.#current = undefined;
    if (record !== undefined && this.#binding !== undefined) await discardChrome(this.#binding, record.sessionId);
  }

  /** Stores what finds the page again, once it or the frames that were numbered are new. */
  async store({ chrome, live, frames }: Current): Promise<void> {
    const record: BrowserRecord = { sessionId: chrome.sessionId, targetId: live.targetId, frameIds: [...frames.ids] };
    await this.#storage.put(RECORD, record);
  }

  /** The frames of the page that comes next are numbered anew; they are stored with the first of them. */
  #renumber({ chrome, live }: Current): Current {
    this.#current = { chrome, live, frames: new FrameNumbers() };
    return this.#current;
  }

  get #alive(): Current | undefined {
    return this.#current?.chrome.ended.aborted === false ? this.#current : undefined;
  }

  async #keep(chrome: Chrome, live: LivePage, frames = new FrameNumbers()): Promise<Current> {
    this.#current = { chrome, live, frames };
    await this.store(this.#current);
    return this.#current;
  }

  /** A Chrome that is on its way when its call is given up is there for the next call. */
  async #launch(signal: AbortSignal): Promise<Current> {
    if (this.#binding === undefined) throw noChrome();
    this.#acquiring ??= this.#acquire(this.#binding).finally(() => {
      this.#acquiring = undefined;
    });
    await orAborted(this.#acquiring, signal);
    const current = await this.#reconnect(signal);
    if (current === undefined) throw new Error("A Chrome that was just started is not known.");
    return current;
  }

  async #acquire(binding: BrowserWorker): Promise<void> {
    const record: BrowserRecord = { sessionId: await acquireChrome(binding), frameIds: [] };
    await Promise.all([this.#storage.put(RECORD, record), this.#storage.setAlarm(Date.now() + KEEP_ALIVE_MS)]);
  }

  /** After an eviction, or a start. Rejects with `unavailable` where Chrome cannot be used any more, and forgets it. */
  async #reconnect(signal: AbortSignal): Promise<Current | undefined> {
    const record = await this.#record();
    if (record === undefined || this.#binding === undefined) return undefined;
    const limited = AbortSignal.any([signal, AbortSignal.timeout(RECONNECT_LIMIT_MS)]);
    try {
      const chrome = await Chrome.connect(this.#binding, record.sessionId, this.#policy, limited);
      const live =
        (await orAborted(LivePage.find(chrome, record.targetId), limited)) ??
        (await orAborted(LivePage.create(chrome), limited));
      return await this.#keep(chrome, live, new FrameNumbers(record.frameIds));
    } catch (cause) {
      if (signal.aborted) throw cause;
      await this.#forget(this.#binding, record.sessionId);
      const message =
        "The browser has ended, after ten minutes unused or by a crash; open the page again with browser_open.";
      throw new ToolError("unavailable", message, { cause });
    }
  }

  async #forget(binding: BrowserWorker, sessionId: string): Promise<void> {
    await Promise.all([this.#storage.delete(RECORD), discardChrome(binding, sessionId)]);
  }

  async #record(): Promise<BrowserRecord | undefined> {
    return recordSchema.safeParse(await this.#storage.get(RECORD)).data;
  }
}

/** Whether the page is there, and its scripts leave it time to answer. */
async function answers({ session, lost }: LivePage, signal: AbortSignal): Promise<boolean> {
  if (lost.aborted) return false;
  const asked = session.send("Memory.getDOMCounters").catch(() => undefined);
  return (await orAborted(within(asked, ANSWER_LIMIT_MS), signal)) !== undefined;
}

export function noChrome(): ToolError {
  return new ToolError("unavailable", "There is no Chrome here; have Pincer started again with one installed.");
}
