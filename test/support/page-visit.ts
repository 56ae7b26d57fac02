import * as z from "zod";
import type { CookieBrowser } from "./cookie-browser.ts";
import { textOfMarkup } from "./markup.ts";

const auditLine = z.object({
  client_id: z.string(),
  tool: z.string(),
  outcome: z.string(),
  input_digest: z.string(),
  parent_run_id: z.string().optional(),
});

export type AuditLine = z.output<typeof auditLine>;

/** Somebody at the pages behind the sign-in, who reads what they say and presses their buttons. */
export class PageVisit {
  readonly #browser: CookieBrowser;
  readonly #url: string;

  constructor(browser: CookieBrowser, url: string) {
    this.#browser = browser;
    this.#url = url;
  }

  /** By way of the provider, which knows whoever is at the browser. */
  async signIn(): Promise<void> {
    const at = new URL("/account/sign-in", this.#url);
    const { status, text } = await this.#browser.follow(await this.#send(at, { page: "/account" }), at, "none:");
    if (status !== 200 || !text.includes("Sign out")) throw new Error(`Nobody is signed in: ${status} ${text}`);
  }

  async read(path: string): Promise<string> {
    const response = await this.#browser.send(new URL(path, this.#url));
    const text = await response.text();
    if (response.status !== 200) throw new Error(`${path} answers ${response.status}: ${text}`);
    return text;
  }

  /** Sends a form, as a button of the pages does. */
  async act(path: string, form: Readonly<Record<string, string>>): Promise<void> {
    const [, key = ""] = /name="key" value="([^"]+)"/.exec(await this.read("/account/apps")) ?? [];
    const response = await this.#send(new URL(path, this.#url), { ...form, key: textOfMarkup(key) });
    const text = await response.text();
    if (response.status >= 400) throw new Error(`${path} answers ${response.status}: ${text}`);
  }

  /** The cells of each row of a page's tables, as text. */
  async rows(path: string): Promise<string[][]> {
    const inCells = (row: string): string[] =>
      [...row.matchAll(/<t[hd][^>]*>(.*?)<\/t[hd]>/gs)].map(([, cell = ""]) =>
        textOfMarkup(cell.replaceAll(/<[^>]*>/g, "")).trim(),
      );
    return [...(await this.read(path)).matchAll(/<tr[^>]*>(.*?)<\/tr>/gs)].map(([, row = ""]) => inCells(row));
  }

  /** A table for spreadsheets: each row's cells by their heads, in the order of the table. */
  async table(path: string): Promise<Record<string, string>[]> {
    const [head = [], ...rows] = (await this.read(path))
      .trimEnd()
      .split("\r\n")
      .map((line) => [...line.matchAll(/"((?:[^"]|"")*)"|[^,]+/g)].map(([cell, text]) => text ?? cell));
    return rows.map((cells) => Object.fromEntries(head.map((name, index) => [name, cells[index] ?? ""])));
  }

  async audit(path: string): Promise<AuditLine[]> {
    const lines = (await this.read(path)).split("\n").filter((line) => line !== "");
    return lines.map((line) => auditLine.parse(JSON.parse(line)));
  }

  async #send(url: URL, form: Readonly<Record<string, string>>): Promise<Response> {
    const headers = { Origin: this.#url, "Content-Type": "application/x-www-form-urlencoded" };
    return await this.#browser.send(url, { method: "POST", headers, body: new URLSearchParams(form).toString() });
  }
}
