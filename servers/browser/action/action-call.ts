import type { Frame } from "@cloudflare/puppeteer";
import { ToolError } from "../../shared/errors.ts";
import { type Settled, settleAfter } from "./action.ts";
import { describeChanges } from "../snapshot/changes.ts";
import type { Current } from "../chrome/keeper.ts";
import type { LivePage } from "../chrome/live-page.ts";
import { documentIdOf } from "../chrome/puppeteer-internals.ts";
import type { ActionResult, RemoteFiles } from "../session.ts";
import { type View, look, lookFilled, lookIfPossible } from "../snapshot/view.ts";

/** Of another page that an action led to. */
const NEW_PAGE_CHARS = 1_200;
const CHANGES_CHARS = 1_500;
const READ_CHARS = 10_000;

/** One call that does something to a page: what the page was before, what is done, and what came of it. */
export class ActionCall {
  readonly current: Current;
  readonly signal: AbortSignal;
  readonly #files: RemoteFiles;
  readonly #before: { readonly lines: string; readonly url: string; readonly documentId: string };
  #settled: Settled = { hasSettled: true };

  private constructor(
    current: Current,
    files: RemoteFiles,
    signal: AbortSignal,
    before: { readonly lines: string; readonly documentId: string },
  ) {
    this.current = current;
    this.signal = signal;
    this.#files = files;
    this.#before = { ...before, url: current.live.page.url() };
  }

  /** What a page was before is known where it was looked at; else it is looked at now. */
  static async begin(current: Current, files: RemoteFiles, signal: AbortSignal): Promise<ActionCall> {
    const { shown, dialogs, page } = current.live;
    const isKnown = shown !== undefined || dialogs.isAsking;
    const view = isKnown ? undefined : await lookIfPossible(current, look(current, READ_CHARS));
    const documentId = await documentIdOf(page.mainFrame());
    return new ActionCall(current, files, signal, { lines: shown ?? view?.lines ?? "", documentId });
  }

  /** What there is to see where the page of an action has closed: another tab. */
  static async elsewhere(current: Current, files: RemoteFiles, signal: AbortSignal): Promise<ActionResult> {
    current.chrome.notes.add("The tab has closed; this is another one.");
    const action = new ActionCall(current, files, signal, { lines: "", documentId: "" });
    // What the closed one has told it takes a moment to show.
    await action.#settle(undefined, async (ready) => await ready);
    return await action.result();
  }

  get live(): LivePage {
    return this.current.live;
  }

  /** Does it, and waits for what it sets off. Rejects with `conflict` while the page asks something. */
  async perform(work: (signal: AbortSignal) => Promise<void>, frame?: Frame): Promise<void> {
    this.live.dialogs.refuseWhileAsking();
    await this.#settle(frame, async (ready, signal) => {
      await ready;
      await work(signal);
    });
  }

  /** As `perform`, with what has to be found on the page first, which nothing is done to meanwhile. */
  async performOn<T>(find: () => Promise<T>, work: (found: T) => Promise<void>, frame?: Frame): Promise<void> {
    this.live.dialogs.refuseWhileAsking();
    await this.#settle(frame, async (ready, signal) => {
      const [found] = await Promise.all([find(), ready]);
      signal.throwIfAborted();
      await this.#refuseIfLeft();
      await work(found);
    });
  }

  async answer(accept: boolean, text: string | undefined): Promise<void> {
    await this.#settle(undefined, async () => await this.live.dialogs.answer(accept, text));
  }

  /** Looks on, without doing anything itself. */
  async watch(work: (current: Current, signal: AbortSignal) => Promise<void>): Promise<void> {
    this.live.dialogs.refuseWhileAsking();
    await work(this.current, this.signal);
  }

  async result(): Promise<ActionResult> {
    const { chrome, live } = this.current;
    await chrome.downloads.deliver(this.#files, this.signal);
    const url = live.page.url();
    const isNewPage = (await documentIdOf(live.page.mainFrame())) !== this.#before.documentId;
    const view = live.dialogs.isAsking
      ? undefined
      : await lookIfPossible(
          this.current,
          isNewPage && !live.hasFailed ? lookFilled(this.current, NEW_PAGE_CHARS) : look(this.current, READ_CHARS),
        );
    if (live.hasFailed) chrome.notes.add(`That page could not be loaded; go back with browser_open {"go": "back"}.`);
    if (!this.#settled.hasSettled)
      chrome.notes.add("The page is still loading; what comes later shows in browser_snapshot.");
    await this.#tellWanted();
    if (live.dialogs.isAsking) chrome.notes.add("The page asks something and waits; answer it with browser_dialog.");
    const { content, isCut } =
      view === undefined ? NOTHING : isNewPage ? { content: view.text, isCut: view.isCut } : this.#changes(view);
    const said = live.dialogs.take();
    return {
      url,
      title: view?.title ?? "",
      notes: chrome.notes.take(),
      content: [...said, ...(content === "" ? [] : [content])].join("\n"),
      isCut,
      isNewPage,
      hasMoved: url !== this.#before.url,
      ...(this.#settled.status === undefined ? {} : { status: this.#settled.status }),
    };
  }

  /** Says which field a file is to be put into, where the page has asked for one. */
  async #tellWanted(): Promise<void> {
    const { chrome, live } = this.current;
    const { wanted } = live;
    live.wanted = undefined;
    const frame = wanted === undefined ? undefined : live.frame(wanted.frameId);
    if (wanted === undefined || frame === undefined) return;
    const ref = live.refs.refOf(wanted.frameId, await documentIdOf(frame), wanted.backendNodeId);
    chrome.notes.add(`The page asks for a file; give it to ${ref} with browser_fill, by its path in files.`);
  }

  #changes({ lines }: View): { readonly content: string; readonly isCut: boolean } {
    return { content: describeChanges(this.#before.lines, lines, CHANGES_CHARS), isCut: false };
  }

  /** Another page may have come to where something was found. */
  async #refuseIfLeft(): Promise<void> {
    if ((await documentIdOf(this.live.page.mainFrame())) === this.#before.documentId) return;
    throw new ToolError("conflict", "The page gave way to another one meanwhile; look at it with browser_snapshot.");
  }

  async #settle(
    frame: Frame | undefined,
    work: (ready: Promise<void>, signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    this.#settled = await settleAfter(this.current, frame ?? this.live.page.mainFrame(), this.signal, work);
  }
}

const NOTHING = { content: "", isCut: false } as const;
