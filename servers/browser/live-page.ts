import { type CDPSession, type Dialog, type Page, TargetType } from "@cloudflare/puppeteer";
import { ToolError } from "../shared/errors.ts";
import { within } from "./abort.ts";
import type { Chrome } from "./chrome.ts";
import { PageLog } from "./page-log.ts";
import { handleOf, targetIdOf } from "./puppeteer-internals.ts";

export const VIEWPORT = { width: 1280, height: 800 } as const;
/** A page that opens more than this is closed, or it would keep us busy for ever. */
const MAX_DIALOGS = 100;
const MAX_POP_UPS = 20;
const ATTACH_LIMIT_MS = 3_000;

/** The one page of a browser, and what becomes of it. */
export class LivePage {
  readonly page: Page;
  readonly targetId: string;
  readonly log: PageLog;
  readonly #chrome: Chrome;
  readonly #lost = new AbortController();
  #dialogs = 0;
  #popUps = 0;

  private constructor(chrome: Chrome, page: Page) {
    this.#chrome = chrome;
    this.page = page;
    this.log = new PageLog(page);
    this.targetId = handleOf(page.mainFrame()).id;
  }

  /**
   * The page with that id; without an id the blank one that a new Chrome has. Absent where it is gone, or so busy that
   * it cannot be attached to, and then closed.
   */
  static async find(chrome: Chrome, targetId?: string): Promise<LivePage | undefined> {
    const pages = chrome.browser.targets().filter((target) => target.type() === TargetType.PAGE);
    const target = pages.find((candidate) => targetId === undefined || targetIdOf(candidate) === targetId);
    if (target === undefined) return undefined;
    const attached = target
      .page()
      .then(async (page) => (page === null ? undefined : await LivePage.#watch(chrome, page)));
    const live = await within(attached, ATTACH_LIMIT_MS);
    if (live === undefined) await chrome.control.send("Target.closeTarget", { targetId: targetIdOf(target) });
    return live;
  }

  static async create(chrome: Chrome): Promise<LivePage> {
    return await LivePage.#watch(chrome, await chrome.popUps.openPage());
  }

  static async #watch(chrome: Chrome, page: Page): Promise<LivePage> {
    const live = new LivePage(chrome, page);
    const onDownload = (): void => chrome.notes.add("A download was refused; the browser keeps no files.");
    chrome.control.on("Browser.downloadWillBegin", onDownload);
    live.lost.addEventListener("abort", () => chrome.control.off("Browser.downloadWillBegin", onDownload));
    chrome.popUps.onClosed = () => live.#onPopUp();
    chrome.ended.addEventListener("abort", () => live.#lost.abort(chrome.ended.reason), { once: true });
    page.on("dialog", (dialog) => live.#onDialog(dialog));
    page.on("error", () => live.lose("The page crashed; open it, or another one, with browser_open."));
    page.on("close", () => {
      // Pages close with Chrome, a moment before it is known to have ended.
      if (chrome.browser.connected) live.lose("The page was closed; open one with browser_open.");
    });
    await page.setViewport(VIEWPORT);
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

  /** Whether there is anything to look at: not before the first page, nor after one that could not be loaded. */
  get isBlank(): boolean {
    return /^(about:|chrome-error:|chrome:|$)/.test(this.page.url());
  }

  /** Gives the page up, and says why to whoever is using it. */
  lose(message: string): void {
    if (this.#lost.signal.aborted) return;
    this.#lost.abort(new ToolError("unavailable", message));
    this.#close(this.targetId);
  }

  forgive(): void {
    this.#dialogs = 0;
    this.#popUps = 0;
  }

  #onDialog(dialog: Dialog): void {
    const isLeaving = dialog.type() === "beforeunload";
    // It may have been closed with its page.
    (isLeaving ? dialog.accept() : dialog.dismiss()).catch(() => undefined);
    if (isLeaving) return;
    this.#dialogs += 1;
    this.#chrome.notes.add(`The page's ${dialog.type()} dialog was dismissed.`);
    if (this.#dialogs > MAX_DIALOGS) {
      this.lose("The page opened dialogs without end and was closed; open another one with browser_open.");
    }
  }

  #onPopUp(): void {
    this.#popUps += 1;
    if (this.#popUps > MAX_POP_UPS) {
      this.lose("The page opened pop-ups without end and was closed; open another one with browser_open.");
    }
  }

  /** It may be gone already. */
  #close(targetId: string): void {
    this.#chrome.control.send("Target.closeTarget", { targetId }).catch(() => undefined);
  }
}
