import type { Dialog, Page } from "@cloudflare/puppeteer";
import { ToolError } from "../../shared/errors.ts";
import { tidy } from "../snapshot/snapshot-writer.ts";

/** A page that opens more than this without being asked to is closed, or it would keep us busy for ever. */
const MAX_ALERTS = 100;
const MAX_ALERTS_SHOWN = 5;
const MAX_MESSAGE_CHARS = 500;

/**
 * The dialogs of one page. Alerts are closed and their words kept; a question (confirm, prompt) stays open, and with it
 * the page's scripts stand still, until it is answered.
 */
export class Dialogs {
  readonly #onStorm: () => void;
  readonly #alerts: string[] = [];
  #count = 0;
  #question: Dialog | undefined;
  #asked = Promise.withResolvers<void>();

  constructor(page: Page, onStorm: () => void) {
    this.#onStorm = onStorm;
    page.on("dialog", (dialog) => this.#onDialog(dialog));
  }

  get isAsking(): boolean {
    return this.#question !== undefined;
  }

  /** Throws `conflict` while a question is open: the page does not answer us either. */
  refuseWhileAsking(): void {
    if (!this.isAsking) return;
    throw new ToolError("conflict", "The page asks something and waits; answer it with browser_dialog first.");
  }

  /** Resolves as soon as a question is open. */
  async asked(): Promise<void> {
    await this.#asked.promise;
  }

  /** What the page said and asks, one line each: hostile text. The alerts are told once. */
  take(): string[] {
    const alerts = this.#alerts.splice(0);
    return this.#question === undefined ? alerts : [...alerts, lineOf(this.#question)];
  }

  /** Rejects with `not_found` where nothing is asked. */
  async answer(accept: boolean, text: string | undefined): Promise<void> {
    const question = this.#question;
    if (question === undefined) throw new ToolError("not_found", "No dialog is open; go on with the page.");
    this.#question = undefined;
    this.#asked = Promise.withResolvers();
    if (!accept) return await question.dismiss();
    await question.accept(text ?? (question.type() === "prompt" ? question.defaultValue() : undefined));
  }

  /** Closes what is open, whatever it asks: the page is about to be left. */
  async dismiss(): Promise<void> {
    // It may have been closed with its page.
    if (this.isAsking) await this.answer(false, undefined).catch(() => undefined);
  }

  /** Somebody else has answered it. */
  forget(): void {
    if (!this.isAsking) return;
    this.#question = undefined;
    this.#asked = Promise.withResolvers();
  }

  forgive(): void {
    this.#count = 0;
  }

  #onDialog(dialog: Dialog): void {
    const type = dialog.type();
    if (type === "confirm" || type === "prompt") {
      this.#question = dialog;
      this.#asked.resolve();
      return;
    }
    dialog.accept().catch(() => undefined);
    if (type === "beforeunload") return;
    this.#count += 1;
    if (this.#alerts.length < MAX_ALERTS_SHOWN) this.#alerts.push(lineOf(dialog));
    if (this.#count > MAX_ALERTS) this.#onStorm();
  }
}

function lineOf(dialog: Dialog): string {
  const message = tidy(dialog.message()).slice(0, MAX_MESSAGE_CHARS).toWellFormed();
  return `${dialog.type()}: ${JSON.stringify(message)}`;
}
