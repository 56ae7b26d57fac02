import type { BrowserWorker } from "@cloudflare/puppeteer";
import * as z from "zod";
import { ToolError } from "../shared/errors.ts";
import type { NetworkPolicy } from "../shared/network-policy.ts";
import { orAborted, within } from "./abort.ts";
import { Chrome, KEEP_ALIVE_MS } from "./chrome.ts";
import { FrameNumbers } from "./frame-numbers.ts";
import { LivePage } from "./live-page.ts";

/** What is in use: a Chrome, its page, and the numbers of the page's frames. */
export interface Current {
  readonly chrome: Chrome;
  readonly live: LivePage;
  readonly frames: FrameNumbers;
}

const RECORD = "session";
const recordSchema = z.object({ sessionId: z.string(), targetId: z.string(), frameIds: z.array(z.string()) });

const RECONNECT_LIMIT_MS = 10_000;
const ANSWER_LIMIT_MS = 1_000;

/** Keeps one Chrome and its page from call to call; after an eviction finds them by the ids that it stored. */
export class Keeper {
  readonly #storage: DurableObjectStorage;
  readonly #binding: BrowserWorker | undefined;
  readonly #policy: NetworkPolicy;
  #current: Current | undefined;

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
    let current = this.#alive;
    let hasEnded = false;
    try {
      current ??= await this.#reconnect(signal);
    } catch (failure) {
      if (signal.aborted) throw failure;
      hasEnded = true;
    }
    if (current === undefined) {
      if (this.#binding === undefined) {
        throw new ToolError("unavailable", "There is no Chrome here; have Pincer started again with one installed.");
      }
      const chrome = await Chrome.launch(this.#binding, this.#policy, signal);
      if (hasEnded) chrome.notes.add("The browser had ended; this is a new one, without its cookies.");
      await this.#storage.setAlarm(Date.now() + KEEP_ALIVE_MS);
      return await this.#keep(chrome, (await LivePage.find(chrome)) ?? (await LivePage.create(chrome)));
    }
    const { chrome, live } = current;
    if (!live.lost.aborted && (await answers(live, signal))) return await this.#keep(chrome, live);
    live.lose("The page did not answer and was closed; open it again with browser_open.");
    return await this.#keep(chrome, await orAborted(LivePage.create(chrome), signal));
  }

  /** Ends Chrome, wherever it was started. */
  async end(): Promise<void> {
    const current = this.#alive ?? (await this.#reconnect(new AbortController().signal).catch(() => undefined));
    this.#current = undefined;
    // It may have ended by itself meanwhile.
    await current?.chrome.browser.close().catch(() => undefined);
  }

  /** Stores what finds the page again, once it or the frames that were numbered are new. */
  async store({ chrome, live, frames }: Current): Promise<void> {
    const record: z.input<typeof recordSchema> = { sessionId: chrome.sessionId, targetId: live.targetId, frameIds: [...frames.ids] };
    await this.#storage.put(RECORD, record);
  }

  get #alive(): Current | undefined {
    return this.#current?.chrome.ended.aborted === false ? this.#current : undefined;
  }

  async #keep(chrome: Chrome, live: LivePage, frames = new FrameNumbers()): Promise<Current> {
    this.#current = { chrome, live, frames };
    await this.store(this.#current);
    return this.#current;
  }

  /** After an eviction. Rejects with `unavailable` where Chrome has ended, and forgets it. */
  async #reconnect(signal: AbortSignal): Promise<Current | undefined> {
    const record = recordSchema.safeParse(await this.#storage.get(RECORD));
    if (!record.success || this.#binding === undefined) return undefined;
    const { sessionId, targetId, frameIds } = record.data;
    try {
      const limited = AbortSignal.any([signal, AbortSignal.timeout(RECONNECT_LIMIT_MS)]);
      const chrome = await Chrome.connect(this.#binding, sessionId, this.#policy, limited);
      const live = (await LivePage.find(chrome, targetId)) ?? (await LivePage.create(chrome));
      return await this.#keep(chrome, live, new FrameNumbers(frameIds));
    } catch (cause) {
      if (signal.aborted) throw cause;
      await this.#storage.delete(RECORD);
      const message = "The browser has ended, after ten minutes unused or by a crash; open the page again with browser_open.";
      throw new ToolError("unavailable", message, { cause });
    }
  }
}

/** Whether scripts of the page leave it time to answer. */
async function answers(live: LivePage, signal: AbortSignal): Promise<boolean> {
  const asked = live.session.send("Runtime.evaluate", { expression: "1" }).catch(() => undefined);
  return (await orAborted(within(asked, ANSWER_LIMIT_MS), signal)) !== undefined;
}
