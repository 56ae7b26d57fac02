import { type Browser, type CDPSession, type Frame, type Page, TargetType } from "@cloudflare/puppeteer";
import { ToolError } from "../../shared/errors.ts";
import { type Arrival, Arrivals } from "./arrivals.ts";
import { within } from "./abort.ts";
import { LivePage } from "./live-page.ts";
import type { NetworkGate } from "./network-gate.ts";
import type { Notes } from "./notes.ts";
import { targetIdOf } from "./puppeteer-internals.ts";
import type { RefBook } from "../snapshot/ref-book.ts";
import { type Family, type Tab, type TabRecord, guestNote, popUpNote } from "./tab.ts";

export const MAX_TABS = 8;
/** Pages that open more than this beyond what there is room for are closed, or they would keep us busy for ever. */
const MAX_REFUSED = 20;
/** For a page to be made ready; one that is given up is closed, so that a busy machine has its time. */
const ATTACH_LIMIT_MS = 10_000;

/** A Chrome's pages, numbered in the order in which they came; one of them is the current one. */
export class Tabs {
  /** Of all of them. */
  readonly refs: RefBook;
  readonly #browser: Browser;
  readonly #control: CDPSession;
  readonly #gate: NetworkGate;
  readonly #notes: Notes;
  readonly #tabs = new Map<string, Tab>();
  readonly #asides = new Set<string>();
  readonly #arrivals = new Arrivals();
  readonly #records: readonly TabRecord[];
  /** Those that we are attached to. */
  #pages: LivePage[] = [];
  #current: LivePage | undefined;
  #lastNumber = 0;

  private constructor(parts: Parameters<typeof Tabs.watch>[0]) {
    this.#browser = parts.browser;
    this.#control = parts.control;
    this.#gate = parts.gate;
    this.#notes = parts.notes;
    this.#records = parts.records;
    this.refs = parts.refs;
  }

  /** Takes in the pages that there are, and from here on every page that comes. */
  static async watch(parts: {
    readonly browser: Browser;
    readonly control: CDPSession;
    readonly gate: NetworkGate;
    readonly notes: Notes;
    readonly records: readonly TabRecord[];
    readonly refs: RefBook;
  }): Promise<Tabs> {
    const { browser, control, gate } = parts;
    const tabs = new Tabs(parts);
    // Heard here before the page's first request comes to the gate, on this same session.
    control.on("Target.targetCreated", ({ targetInfo: { type, targetId, openerId } }) => {
      if (type !== "page") return;
      const arrival = tabs.#arrivals.take(openerId);
      if (arrival === "aside") return void tabs.#asides.add(targetId);
      const opener = tabs.#tabs.get(openerId ?? "");
      // What was closed opens pages until it is gone; they go with it.
      const isOrphan = arrival === "unasked" && openerId !== undefined && opener === undefined;
      if (tabs.#hasRoom && !isOrphan) return tabs.#take(targetId, arrival, opener);
      gate.bar(targetId);
      if (!isOrphan) tabs.#refuse(opener);
    });
    control.on("Target.targetDestroyed", ({ targetId }) => tabs.#onGone(targetId));
    // A page that is closed before puppeteer has let it go on would leave its opener waiting.
    browser.on("targetcreated", (target) => {
      if (target.type() === TargetType.PAGE) tabs.#closeUnlessTaken(targetIdOf(target));
    });
    // First come the pages that are there already.
    await control.send("Target.setDiscoverTargets", { discover: true });
    tabs.#arrivals.allHere();
    return tabs;
  }

  /** The page that calls are about; where it has closed, the last one that is left. */
  get current(): LivePage | undefined {
    if (this.#current?.hasClosed === true) this.#current = this.pages.at(-1) ?? this.#current;
    return this.#current;
  }

  /** The page that calls are about; where that shows nothing, the last one that a client has opened. */
  async currentOrGuest(): Promise<LivePage | undefined> {
    const { current } = this;
    const guest = [...this.#tabs.values()].findLast(({ isGuest }) => isGuest);
    if (guest === undefined || (current !== undefined && !current.isBlank)) return current;
    const live = await this.#liveOf(guest);
    return live === undefined ? current : (this.#current = live);
  }

  /** Lets a client open a page, until what is returned is called. Throws `limit_reached` where there are too many. */
  expectGuest(): () => void {
    if (this.#tabs.size + this.#arrivals.forClients >= MAX_TABS) throw this.#full();
    return this.#arrivals.expectForClient();
  }

  /** Whether that page is one of ours beside all tabs. */
  isAside(targetId: string): boolean {
    return this.#asides.has(targetId);
  }

  get records(): TabRecord[] {
    return [...this.#tabs.values()].map(({ number, targetId }) => ({ number, targetId }));
  }

  /** A frame of a page that has been loaded, in whatever tab. */
  frame(frameId: string): Frame | undefined {
    return this.#pages
      .filter((live) => !live.isBlank)
      .map((live) => live.frame(frameId))
      .find((frame) => frame !== undefined);
  }

  /** Numbers and URLs, in order; of all that are open. */
  list(): { readonly number: number; readonly url: string; readonly isCurrent: boolean }[] {
    const targets = new Map(this.#browser.targets().map((target) => [targetIdOf(target), target]));
    return [...this.#tabs.values()].map(({ number, targetId }) => ({
      number,
      url: targets.get(targetId)?.url() ?? "",
      isCurrent: targetId === this.#current?.targetId,
    }));
  }

  /** Makes that tab the current one. Rejects with `not_found` where there is none of that number. */
  async select(number: number): Promise<LivePage> {
    const live = await this.#find(number);
    this.#current = live;
    await live.page.bringToFront();
    return live;
  }

  /** The tab with that page; else the first that answers; nothing where none does. */
  async resume(targetId: string | undefined): Promise<LivePage | undefined> {
    const tabs = [...this.#tabs.values()].toSorted(
      (one, other) => Number(other.targetId === targetId) - Number(one.targetId === targetId),
    );
    for (const tab of tabs) {
      const live = await this.#liveOf(tab);
      if (live === undefined || live.lost.aborted) continue;
      this.#current = live;
      return live;
    }
    return undefined;
  }

  /** A new blank tab, which becomes the current one. Rejects with `limit_reached` where there are too many. */
  async open(): Promise<LivePage> {
    if (!this.#hasRoom) throw this.#full();
    return await this.#arrivals.forCall(async () => {
      const page = await this.#browser.newPage();
      const tab = this.#tabs.get(targetIdOf(page.target()));
      const live = tab === undefined ? undefined : await this.#liveOf(tab);
      if (live === undefined) throw new ToolError("unavailable", "Chrome opened no tab; try again.");
      return (this.#current = live);
    });
  }

  /** All that can be used. */
  get pages(): readonly LivePage[] {
    return this.#pages.filter(({ lost }) => !lost.aborted);
  }

  /** Does something on a blank page that is nobody's tab, and closes it. */
  async aside<T>(work: (page: Page) => Promise<T>): Promise<T> {
    const page = await this.#arrivals.aside(async () => await this.#browser.newPage());
    try {
      return await work(page);
    } finally {
      await page.close();
      this.#asides.delete(targetIdOf(page.target()));
    }
  }

  /** A blank tab that is there already is as good as a new one. */
  async openUnlessBlank(): Promise<LivePage> {
    return this.#current?.isBlank === true ? this.#current : await this.open();
  }

  /** Closes that tab; the current one stays so where it is another. Rejects as `select` does. */
  async close(number: number): Promise<void> {
    const live = await this.#find(number);
    await live.page.close({ runBeforeUnload: false });
    this.#onGone(live.targetId);
  }

  /** Pop-ups that the current tab opens from here on are the fault of another page. */
  forgive(): void {
    const tab = this.#tabs.get(this.#current?.targetId ?? "");
    if (tab !== undefined) tab.family = { refused: 0 };
  }

  async #find(number: number): Promise<LivePage> {
    const tab = [...this.#tabs.values()].find((candidate) => candidate.number === number);
    const live = tab === undefined ? undefined : await this.#liveOf(tab);
    if (live !== undefined && !live.lost.aborted) return live;
    throw new ToolError("not_found", `There is no tab ${number}; open are: ${this.#numbers || "none"}.`);
  }

  get #numbers(): string {
    return [...this.#tabs.values()].map(({ number }) => number).join(", ");
  }

  get #hasRoom(): boolean {
    return this.#tabs.size < MAX_TABS;
  }

  #full(): ToolError {
    return new ToolError(
      "limit_reached",
      `The tabs ${this.#numbers} are open, and there is room for no more; close one with browser_close, or use it with browser_open.`,
    );
  }

  #take(targetId: string, arrival: Arrival, opener: Tab | undefined): void {
    const isGuest = arrival === "client" || opener?.isGuest === true;
    const isUnasked = arrival === "unasked";
    const record = this.#records.find((known) => known.targetId === targetId);
    const number = record?.number ?? Math.max(this.#lastNumber, ...this.#records.map((known) => known.number)) + 1;
    this.#lastNumber = Math.max(this.#lastNumber, number);
    const tab = { number, targetId, isGuest, family: opener?.family ?? { refused: 0 } };
    this.#tabs.set(targetId, tab);
    if (!isGuest) void this.#liveOf(tab);
    else if (!isUnasked) this.#notes.add(guestNote(number));
    if (isUnasked) this.#notes.add(popUpNote(number));
  }

  async #liveOf(tab: Tab): Promise<LivePage | undefined> {
    return await (tab.live ??= this.#attach(tab.targetId));
  }

  async #attach(targetId: string): Promise<LivePage | undefined> {
    const attached = this.#browser
      .waitForTarget((target) => targetIdOf(target) === targetId, { timeout: ATTACH_LIMIT_MS })
      .then(async (target) => await target.page())
      .then(async (page) =>
        page === null ? undefined : await LivePage.of(page, this.refs, (closed) => this.#closeTarget(closed)),
      )
      // It may close itself at once.
      .catch(() => undefined);
    const live = await within(attached, ATTACH_LIMIT_MS);
    if (live === undefined) {
      this.#closeTarget(targetId);
      this.#onGone(targetId);
      return undefined;
    }
    this.#pages.push(live);
    return live;
  }

  #closeUnlessTaken(targetId: string): void {
    if (!this.#tabs.has(targetId) && !this.#asides.has(targetId)) this.#closeTarget(targetId);
  }

  #refuse(opener: Tab | undefined): void {
    this.#notes.add(`A pop-up was closed: ${MAX_TABS} tabs are open.`);
    if (opener === undefined) return;
    opener.family.refused += 1;
    if (opener.family.refused > MAX_REFUSED) this.#endStorm(opener.family);
  }

  /** They all go, or there would be no room for another page, and each might go on by itself. */
  #endStorm(family: Family): void {
    for (const { targetId } of [...this.#tabs.values()].filter((tab) => tab.family === family)) {
      const live = this.#pages.find((page) => page.targetId === targetId);
      live?.lose("The page opened pop-ups without end and was closed; open another one with browser_open.");
      this.#closeTarget(targetId);
      this.#onGone(targetId);
    }
  }

  #onGone(targetId: string): void {
    const gone = this.#tabs.get(targetId);
    if (gone?.isGuest === true) this.#notes.drop(guestNote(gone.number));
    this.#gate.admit(targetId);
    this.#tabs.delete(targetId);
    this.#pages = this.#pages.filter((live) => live.targetId !== targetId);
  }

  #closeTarget(targetId: string): void {
    // It may have closed itself.
    this.#control.send("Target.closeTarget", { targetId }).catch(() => undefined);
  }
}
