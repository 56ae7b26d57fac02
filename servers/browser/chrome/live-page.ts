import { type CDPSession, type Frame, type Page } from "@cloudflare/puppeteer";
import { ToolError } from "../../shared/errors.ts";
import { Dialogs } from "./dialogs.ts";
import { PageLog } from "../reading/page-log.ts";
import { PAGE_SCRIPT } from "./page-script.ts";
import { handleOf } from "./puppeteer-internals.ts";
import type { RefBook } from "../snapshot/ref-book.ts";
import { RequestHabits } from "./request-habits.ts";

export const VIEWPORT = { width: 1280, height: 800 } as const;

/** Where a picture's pixels begin. */
export interface PictureOrigin {
  readonly x: number;
  readonly y: number;
  readonly isOfPage: boolean;
}

/** Ends a page that cannot be kept. */
export type ClosePage = (targetId: string) => void;

/** One page of a browser, and what becomes of it. */
export class LivePage {
  readonly page: Page;
  readonly targetId: string;
  readonly refs: RefBook;
  readonly dialogs: Dialogs;
  readonly habits: RequestHabits;
  readonly log: PageLog;
  /** The page's lines as they were last looked at. */
  shown: string | undefined;
  /** What the last picture showed: the window as it was, or a part of the whole page that begins there. */
  picture: PictureOrigin = { x: 0, y: 0, isOfPage: false };
  /** The file field that the page asks to have filled, which it may not show. */
  wanted: { readonly frameId: string; readonly backendNodeId: number } | undefined;
  readonly #close: ClosePage;
  readonly #lost = new AbortController();
  #hasClosed = false;

  private constructor(page: Page, refs: RefBook, close: ClosePage) {
    this.page = page;
    this.refs = refs;
    this.targetId = handleOf(page.mainFrame()).id;
    this.#close = close;
    this.habits = new RequestHabits(page);
    this.log = new PageLog(page);
    this.dialogs = new Dialogs(page, () =>
      this.lose("The page opened dialogs without end and was closed; open another one with browser_open."),
    );
  }

  /** Takes a page into use. `close` is how it ends where it has to be given up. */
  static async of(page: Page, refs: RefBook, close: ClosePage): Promise<LivePage> {
    const live = new LivePage(page, refs, close);
    live.session.on("Page.fileChooserOpened", ({ frameId, backendNodeId }) => {
      live.wanted = backendNodeId === undefined ? undefined : { frameId, backendNodeId };
      // One that is no part of the page is kept from being cleared away.
      if (backendNodeId !== undefined) live.session.send("DOM.resolveNode", { backendNodeId }).catch(() => undefined);
    });
    live.session.on("Page.javascriptDialogClosed", () => live.dialogs.forget());
    page.on("error", () => live.lose("The page crashed; open it, or another one, with browser_open."));
    page.on("close", () => {
      // Pages close with Chrome, a moment before it is known to have ended.
      if (!page.browser().connected) return;
      live.#hasClosed = !live.lost.aborted;
      live.lose("The page was closed; open one with browser_open.");
    });
    await Promise.all([
      page.setViewport(VIEWPORT),
      page.evaluateOnNewDocument(PAGE_SCRIPT),
      // A file is never chosen by hand: the page is asked which field it meant.
      live.session.send("Page.setInterceptFileChooserDialog", { enabled: true }),
      // Several tabs, and none of them in front of a person: each is to behave as if it were.
      live.session.send("Emulation.setFocusEmulationEnabled", { enabled: true }),
      // A dialog from before an eviction is known to nobody any more.
      live.session.send("Page.handleJavaScriptDialog", { accept: false }).catch(() => undefined),
    ]);
    return live;
  }

  /** Of the page's main frame; another one after some navigations. */
  get session(): CDPSession {
    return handleOf(this.page.mainFrame()).session;
  }

  /** Aborts, with the reason as a `ToolError`, when the page, or all of Chrome, is there no more. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** Whether the page has closed itself, or was closed at somebody's wish; nothing is wrong then. */
  get hasClosed(): boolean {
    return this.#hasClosed;
  }

  /** Whether there is anything to look at: not before the first page, nor after one that could not be loaded. */
  get isBlank(): boolean {
    return /^(about:|chrome-error:|chrome:|$)/.test(this.page.url());
  }

  /** Whether Chrome shows an error in place of the last page. */
  get hasFailed(): boolean {
    return this.page.url().startsWith("chrome-error:");
  }

  frame(frameId: string): Frame | undefined {
    return this.page.frames().find((frame) => handleOf(frame).id === frameId);
  }

  /** Gives the page up, and says why to whoever is using it. */
  lose(reason: string | ToolError): void {
    if (this.#lost.signal.aborted) return;
    this.#lost.abort(typeof reason === "string" ? new ToolError("unavailable", reason) : reason);
    this.#close(this.targetId);
  }
}
