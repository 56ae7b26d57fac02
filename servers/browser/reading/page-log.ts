import { type CDPEvents, type CDPSession, CDPSessionEvent, type Page } from "@cloudflare/puppeteer";
import { consoleLine, entryLine, exceptionLine } from "./console-line.ts";
import { handleOf } from "../chrome/puppeteer-internals.ts";
import { RequestLog, bareUrl } from "./request-log.ts";

const MAX_LINES = 200;
/** A second's worth of lines that are written out; more are counted. */
const MAX_LINES_A_SECOND = 200;
/** A script that logs more in a second keeps the connection too busy for calls: it goes on without a console. */
const MAX_CALLS_A_SECOND = 500;
const SILENCE = "for (const name of Object.keys(console)) console[name] = () => undefined";

/** What a page logs and asks for while somebody looks on: its frames and workers too, the last of it. */
export class PageLog {
  readonly #page: Page;
  readonly #requests = new RequestLog();
  readonly #lines: { readonly text: string; times: number }[] = [];
  readonly #sessions = new WeakSet<CDPSession>();
  #leftOut = 0;
  #secondStartedMs = 0;
  #callsThisSecond = 0;

  /** Puppeteer has switched on all that it listens to. */
  constructor(page: Page) {
    this.#page = page;
    for (const frame of page.frames()) this.#listen(handleOf(frame).session);
    page.on("framenavigated", (frame) => {
      // After some navigations the page goes on in another session.
      this.#listen(handleOf(frame).session);
      if (frame === page.mainFrame()) this.#add(`page: ${bareUrl(frame.url())}`);
    });
  }

  /** What scripts and Chrome said: `error: Uncaught TypeError: x is not a function (app.js:12)`. */
  consoleLines(): string[] {
    const shown = this.#lines.map(({ text, times }) => (times === 1 ? text : `${text} (${times} times)`));
    return this.#leftOut === 0 ? shown : [`… ${this.#leftOut} more lines left out`, ...shown];
  }

  /** What was asked for: `GET 404 /api/x 12 ms`. */
  networkLines(): string[] {
    return this.#requests.lines(this.#page.url());
  }

  #listen(session: CDPSession): void {
    if (this.#sessions.has(session)) return;
    this.#sessions.add(session);
    const on = <Name extends keyof CDPEvents>(name: Name, listener: (event: CDPEvents[Name]) => void): void => {
      session.on(name, listener);
    };
    on("Runtime.consoleAPICalled", (call) => this.#onCall(session, call));
    on("Runtime.exceptionThrown", ({ exceptionDetails }) => this.#add(exceptionLine(exceptionDetails)));
    on("Log.entryAdded", ({ entry }) => this.#add(entryLine(entry)));
    on("Network.requestWillBeSent", (event) => this.#requests.onSent(event));
    on("Network.responseReceived", (event) => this.#requests.onAnswered(event));
    on("Network.loadingFailed", (event) => this.#requests.onFailed(event));
    session.on(CDPSessionEvent.SessionAttached, (child) => this.#listen(child));
  }

  #onCall(session: CDPSession, call: CDPEvents["Runtime.consoleAPICalled"]): void {
    const nowMs = Date.now();
    if (nowMs - this.#secondStartedMs >= 1_000) [this.#secondStartedMs, this.#callsThisSecond] = [nowMs, 0];
    this.#callsThisSecond += 1;
    if (this.#callsThisSecond === MAX_CALLS_A_SECOND) {
      this.#add("page: logs without end, and was made to stop");
      // The page may be gone.
      session
        .send("Runtime.evaluate", { contextId: call.executionContextId, expression: SILENCE })
        .catch(() => undefined);
    }
    if (call.type === "clear" || call.type === "endGroup") return;
    if (this.#callsThisSecond > MAX_LINES_A_SECOND) this.#leftOut += 1;
    else this.#add(consoleLine(call));
  }

  #add(text: string): void {
    const last = this.#lines.at(-1);
    if (last?.text === text) {
      last.times += 1;
      return;
    }
    this.#lines.push({ text, times: 1 });
    if (this.#lines.length <= MAX_LINES) return;
    this.#lines.shift();
    this.#leftOut += 1;
  }
}
