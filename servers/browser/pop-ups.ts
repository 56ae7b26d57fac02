import { type Browser, type CDPSession, type Page, TargetType } from "@cloudflare/puppeteer";
import type { NetworkGate } from "./network-gate.ts";
import type { Notes } from "./notes.ts";
import { handleOf, targetIdOf } from "./puppeteer-internals.ts";

/** Closes every page that nobody asked for, before it has loaded anything: a browser shows one. */
export class PopUps {
  readonly #browser: Browser;
  readonly #control: CDPSession;
  readonly #gate: NetworkGate;
  readonly #notes: Notes;
  /** Pages that came while one was asked for: one of them is the one. */
  #unclear: Set<string> | undefined;
  /** Called for each, by the page that is to blame. */
  onClosed: () => void = () => undefined;

  private constructor(browser: Browser, control: CDPSession, gate: NetworkGate, notes: Notes) {
    this.#browser = browser;
    this.#control = control;
    this.#gate = gate;
    this.#notes = notes;
  }

  static async watch(browser: Browser, control: CDPSession, gate: NetworkGate, notes: Notes): Promise<PopUps> {
    const popUps = new PopUps(browser, control, gate, notes);
    // First come the pages that are there already.
    await control.send("Target.setDiscoverTargets", { discover: true });
    // The gate hears of a page here before the page's first request comes to it, on this same session.
    control.on("Target.targetCreated", ({ targetInfo }) => {
      if (targetInfo.type === "page") gate.bar(targetInfo.targetId);
    });
    control.on("Target.targetDestroyed", ({ targetId }) => gate.admit(targetId));
    // A page that is closed before puppeteer has let it go on would leave its opener waiting.
    browser.on("targetcreated", (target) => {
      if (target.type() === TargetType.PAGE) popUps.#onPage(targetIdOf(target));
    });
    return popUps;
  }

  async openPage(): Promise<Page> {
    const unclear = new Set<string>();
    this.#unclear = unclear;
    try {
      const page = await this.#browser.newPage();
      const { id } = handleOf(page.mainFrame());
      unclear.delete(id);
      this.#gate.admit(id);
      return page;
    } finally {
      this.#unclear = undefined;
      for (const id of unclear) this.#close(id);
    }
  }

  #onPage(id: string): void {
    if (this.#unclear === undefined) this.#close(id);
    else this.#unclear.add(id);
  }

  #close(targetId: string): void {
    this.#notes.add("A pop-up was closed.");
    // It may have closed itself.
    this.#control.send("Target.closeTarget", { targetId }).catch(() => undefined);
    this.onClosed();
  }
}
