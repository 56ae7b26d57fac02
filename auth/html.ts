import { html as escaping, raw } from "hono/html";
import type { HtmlEscapedString } from "hono/utils/html";
import { CARD_STYLE, PAGE_STYLE } from "./page-style.ts";

/** Markup that is safe to send. Only `html` and `ownMarkup` make it, so whatever a client says of itself arrives as text. */
export type Html = HtmlEscapedString;

export type Insert = string | number | Html | undefined | readonly Insert[];

/** A template whose inserts are escaped, in text and in quoted attributes, unless they are `Html` themselves. */
export function html(parts: TemplateStringsArray, ...inserts: readonly Insert[]): Html {
  const made = escaping(parts, ...inserts);
  // hono waits for inserts that are promises; none is an `Insert`.
  if (made instanceof Promise) throw new Error("A page is not made of promises.");
  return made;
}

/** Text of ours that is markup already, or CSS. */
export function ownMarkup(text: string): Html {
  return raw(text);
}

/**
 * What a stranger wrote, fit for one line: no control characters, nothing that turns the direction of writing around, no
 * towers of accents over the lines beside it, not endless.
 */
export function oneLine(text: string, maxChars: number): string {
  const line = text
    .replace(/\s+/g, " ")
    .replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}]/gu, "")
    .replace(/(\p{M}{2})\p{M}+/gu, "$1")
    .trim();
  const chars = Array.from(line);
  return chars.length > maxChars ? `${chars.slice(0, maxChars).join("")}…` : line;
}

/** A name that a stranger chose, as one line. */
export function plainName(name: string, maxChars = 60): string {
  const line = oneLine(name, maxChars);
  return line === "" ? "An app without a name" : line;
}

interface Document {
  readonly title: string;
  /** All that `body` holds. */
  readonly content: Html;
  readonly status: number;
  /** Added to the page's own, as the consent helpers return them. */
  readonly headers?: Headers;
  readonly style: string;
  /** The one script that it runs, which may speak to our origin; without one it runs none. */
  readonly script?: PageScript;
  /** Where its forms may go. Absent, anywhere: Chromium applies it to the redirect that follows as well. */
  readonly formAction?: "'none'" | "'self'";
}

/** By its path, or as it is. */
type PageScript = { readonly path: string } | { readonly text: string };

/** A whole document that runs no script but its own, loads nothing else and cannot be framed. */
export function documentResponse(parts: Document): Response {
  const { title, content, status, headers = new Headers(), style, script, formAction } = parts;
  const nonce = crypto.getRandomValues(new Uint8Array(16)).toHex();
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title}</title>
        <style nonce="${nonce}">
          ${ownMarkup(style)}
        </style>
        ${script === undefined ? undefined : scriptElement(script, nonce)}
      </head>
      <body>
        ${content}
      </body>
    </html> `;
  const all = new Headers(headers);
  all.set("Content-Type", "text/html; charset=utf-8");
  all.set("Cache-Control", "no-store");
  const policy = [
    "default-src 'none'",
    `style-src 'nonce-${nonce}'`,
    ...(script === undefined ? [] : [`script-src 'nonce-${nonce}'`, "connect-src 'self'"]),
    ...(formAction === undefined ? [] : [`form-action ${formAction}`]),
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ];
  all.set("Content-Security-Policy", policy.join("; "));
  all.set("X-Frame-Options", "DENY");
  all.set("X-Content-Type-Options", "nosniff");
  // Nothing goes to other origins. `no-referrer` would also turn the form's own Origin into `null`.
  all.set("Referrer-Policy", "same-origin");
  return new Response(page.toString(), { status, headers: all });
}

function scriptElement(script: PageScript, nonce: string): Html {
  if ("path" in script) return html`<script nonce="${nonce}" src="${script.path}" defer></script>`;
  return html`<script nonce="${nonce}" type="module">
    ${ownMarkup(script.text)};
  </script>`;
}

interface Page {
  readonly title: string;
  readonly body: Html;
  readonly status: number;
  readonly headers?: Headers;
  /** CSS beyond that of every page. */
  readonly style?: string;
  /** The path of its script. A page with one sends no form by itself. */
  readonly script?: string;
}

/** A page of one card. */
export function pageResponse({ title, body, status, headers, style = "", script }: Page): Response {
  return documentResponse({
    title,
    status,
    style: PAGE_STYLE + CARD_STYLE + style,
    content: html`<main>
      <p class="brand">${LOGO} Pincer</p>
      ${body}
    </main>`,
    ...(headers === undefined ? {} : { headers }),
    ...(script === undefined ? {} : { script: { path: script }, formAction: "'none'" }),
  });
}

export const LOGO = html`<svg viewBox="0 0 32 32" width="26" height="26" aria-hidden="true">
  <path
    d="M16 19.5C5.5 17 4.5 6 14.4 3.5M16 19.5C26.5 17 27.5 6 17.6 3.5M16 19.5l-6 9M16 19.5l6 9"
    fill="none"
    stroke="currentColor"
    stroke-width="3"
    stroke-linecap="round"
    stroke-linejoin="round"
  />
</svg>`;
