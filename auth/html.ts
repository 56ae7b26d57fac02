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
  const chars = [...line];
  if (chars.length === 0) return "An app without a name";
  return chars.length > maxChars ? `${chars.slice(0, maxChars).join("")}…` : line;
}

interface Page {
  readonly title: string;
  readonly body: Html;
  readonly status: number;
  /** Added to the page's own, as the consent helpers return them. */
  readonly headers?: Headers;
}

/** A whole page that runs no script, loads nothing and cannot be framed. */
export function pageResponse({ title, body, status, headers = new Headers() }: Page): Response {
  const nonce = crypto.getRandomValues(new Uint8Array(16)).toHex();
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<style nonce="${nonce}">${new Html(STYLE)}</style>
</head>
<body>
<main>
<p class="brand">${LOGO} Pincer</p>
${body}
</main>
</body>
</html>
`;
  const all = new Headers(headers);
  all.set("Content-Type", "text/html; charset=utf-8");
  all.set("Cache-Control", "no-store");
  // No form-action: Chromium applies it to the redirect that follows, and would block the way back to the client.
  all.set(
    "Content-Security-Policy",
    `default-src 'none'; style-src 'nonce-${nonce}'; base-uri 'none'; frame-ancestors 'none'`,
  );
  all.set("X-Frame-Options", "DENY");
  all.set("X-Content-Type-Options", "nosniff");
  // Nothing goes to other origins. `no-referrer` would also turn the form's own Origin into `null`.
  all.set("Referrer-Policy", "same-origin");
  return new Response(page.toString(), { status, headers: all });
}

const LOGO = html`<svg viewBox="0 0 32 32" width="26" height="26" aria-hidden="true"><path d="M16 19.5C5.5 17 4.5 6 14.4 3.5M16 19.5C26.5 17 27.5 6 17.6 3.5M16 19.5l-6 9M16 19.5l6 9" fill="none" stroke="currentColor" stroke-width="3" stroke-linecap="round" stroke-linejoin="round"/></svg>`;

const STYLE = `
:root{color-scheme:light dark;--page:#f3f1ee;--card:#fff;--text:#1d1b19;--soft:#5f5a55;--line:#dcd7d1;--field:#857e77;
--accent:#b23a12;--on-accent:#fff;--accent-hover:#8f2d0c;--warn:#fff4e0;--warn-line:#d48806;--bad:#fdecea;--bad-line:#c62828}
@media (prefers-color-scheme:dark){:root{--page:#161413;--card:#211e1c;--text:#f1eeeb;--soft:#b3aca5;--line:#3a3532;--field:#8d857e;
--accent:#ff8a5c;--on-accent:#2a1006;--accent-hover:#ffa27d;--warn:#33270f;--warn-line:#e0a030;--bad:#3a1a18;--bad-line:#f2766b}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--text);font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;
overflow-wrap:anywhere}
main{max-width:34rem;margin:2.5rem auto;padding:1.75rem 2rem 2rem;background:var(--card);border:1px solid var(--line);border-radius:16px}
.brand{display:flex;align-items:center;gap:.5rem;margin:0 0 1.25rem;font-weight:650;letter-spacing:.01em;color:var(--accent)}
h1{margin:0 0 .5rem;font-size:1.5rem;line-height:1.25;text-wrap:balance}
p{margin:.5rem 0}
.soft,.hint{color:var(--soft)}
.hint{font-size:.9rem}
dl{display:grid;grid-template-columns:auto 1fr;gap:.4rem 1.25rem;margin:1.25rem 0;padding:.9rem 0;border-block:1px solid var(--line)}
dt{color:var(--soft)}dd{margin:0;font-weight:550}
.note{margin:1.25rem 0;padding:.75rem 1rem;border-radius:10px;background:var(--warn);border-inline-start:4px solid var(--warn-line)}
.error{background:var(--bad);border-color:var(--bad-line)}
fieldset{margin:1.5rem 0 0;padding:0;border:0;min-width:0}
.code-label{margin-top:1.4rem}
legend,.label{display:block;padding:0;font-weight:650}
.scope{display:flex;gap:.75rem;align-items:flex-start;padding:.55rem 0;border-bottom:1px solid var(--line);cursor:pointer}
.scope:last-of-type{border-bottom:0}
.scope input{flex:none;width:1.25rem;height:1.25rem;margin:.15rem 0 0;accent-color:var(--accent)}
.scope span{display:block}
code{font:.85rem/1.4 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;color:var(--soft)}
.code{width:100%;max-width:18rem;margin-top:.4rem;padding:.65rem .8rem;font:1.25rem ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;
letter-spacing:.08em;text-transform:uppercase;color:inherit;background:transparent;border:1.5px solid var(--field);border-radius:10px}
.actions{display:flex;flex-wrap:wrap;gap:.75rem;margin-top:1.75rem}
button{flex:1 1 9rem;min-height:3rem;padding:.6rem 1.25rem;font:inherit;font-weight:650;border-radius:10px;border:1.5px solid var(--field);
background:transparent;color:inherit;cursor:pointer}
button.primary{background:var(--accent);border-color:var(--accent);color:var(--on-accent)}
button:hover{border-color:var(--text)}button.primary:hover{background:var(--accent-hover);border-color:var(--accent-hover)}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
@media (max-width:36rem){main{margin:0;min-height:100vh;border:0;border-radius:0;padding:1.25rem 1.15rem 2rem}dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.5rem}}
@media (forced-colors:active){button.primary{border-width:3px}}
`;
