import { PAGE_STYLE } from "./page-style.ts";

/** Markup that is safe to send. Only `html` makes it, so whatever a client says of itself arrives as text. */
export class Html {
  readonly #markup: string;

  constructor(markup: string) {
    this.#markup = markup;
  }

  toString(): string {
    return this.#markup;
  }
}

type Insert = string | Html | undefined | readonly Html[];

/** A template whose inserts are escaped, unless they are `Html` themselves. */
export function html(parts: TemplateStringsArray, ...inserts: readonly Insert[]): Html {
  return new Html(parts.reduce((markup, part, index) => `${markup}${render(inserts[index - 1])}${part}`));
}

function render(insert: Insert): string {
  if (insert === undefined) return "";
  if (insert instanceof Html) return insert.toString();
  if (typeof insert === "string") return escape(insert);
  return insert.join("");
}

/** Enough for text and for attribute values in quotes. */
function escape(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}

/**
 * A name that a stranger chose, fit for one line: no control characters, nothing that turns the direction of
 * writing around, no towers of accents over the lines beside it, not endless.
 */
export function plainName(name: string, maxChars = 60): string {
  const line = name
    .replace(/\s+/g, " ")
    .replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}]/gu, "")
    .replace(/(\p{M}{2})\p{M}+/gu, "$1")
    .trim();
  const chars = Array.from(line);
  if (chars.length === 0) return "An app without a name";
  return chars.length > maxChars ? `${chars.slice(0, maxChars).join("")}…` : line;
}

interface Page {
  readonly title: string;
  readonly body: Html;
  readonly status: number;
  /** Added to the page's own, as the consent helpers return them. */
  readonly headers?: Headers;
  /** CSS beyond that of every page. */
  readonly style?: string;
  /** The path of the one script that it runs, which may speak to our origin; without one it runs none. */
  readonly script?: string;
}

/** A whole page that runs no script but its own, loads nothing else and cannot be framed. */
export function pageResponse({ title, body, status, headers = new Headers(), style = "", script }: Page): Response {
  const nonce = crypto.getRandomValues(new Uint8Array(16)).toHex();
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title}</title>
        <style nonce="${nonce}">
          ${new Html(PAGE_STYLE + style)}
        </style>
        ${script === undefined ? undefined : html`<script nonce="${nonce}" src="${script}" defer></script>`}
      </head>
      <body>
        <main>
          <p class="brand">${LOGO} Pincer</p>
          ${body}
        </main>
      </body>
    </html> `;
  const all = new Headers(headers);
  all.set("Content-Type", "text/html; charset=utf-8");
  all.set("Cache-Control", "no-store");
  // No form-action: Chromium applies it to the redirect that follows, and would block the way back to the client.
  all.set(
    "Content-Security-Policy",
    `default-src 'none'; style-src 'nonce-${nonce}'; base-uri 'none'; frame-ancestors 'none'${
      script === undefined ? "" : `; script-src 'nonce-${nonce}'; connect-src 'self'; form-action 'none'`
    }`,
  );
  all.set("X-Frame-Options", "DENY");
  all.set("X-Content-Type-Options", "nosniff");
  // Nothing goes to other origins. `no-referrer` would also turn the form's own Origin into `null`.
  all.set("Referrer-Policy", "same-origin");
  return new Response(page.toString(), { status, headers: all });
}

const LOGO = html`<svg viewBox="0 0 32 32" width="26" height="26" aria-hidden="true">
  <path
    d="M16 19.5C5.5 17 4.5 6 14.4 3.5M16 19.5C26.5 17 27.5 6 17.6 3.5M16 19.5l-6 9M16 19.5l6 9"
    fill="none"
    stroke="currentColor"
    stroke-width="3"
    stroke-linecap="round"
    stroke-linejoin="round"
  />
</svg>`;
