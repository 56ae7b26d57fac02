import type { Visitor } from "../../auth/account-session.ts";
import { type Html, LOGO, documentResponse, html } from "../../auth/html.ts";
import { moment } from "./format.ts";
import { PAGE_SCRIPT } from "./page-script.ts";
import { DESK_STYLE } from "./style.ts";
import type { Whose } from "./whose.ts";

export interface PageView {
  readonly visitor: Visitor;
  /** Whose page it is; absent on those of everybody. */
  readonly whose?: Whose;
  /** The path of the page below its area, as the links beside it have it; `usage`, and nothing for the first. */
  readonly at: string;
  readonly title: string;
  /** Stands beside the title. */
  readonly beside?: Html;
  readonly body: Html;
  readonly status?: number;
  /** CSS beyond that of every page. */
  readonly style?: string;
  /** Runs in the place of the script of every page. */
  readonly script?: string;
}

type Link = readonly [path: string, words: string];

const OWN_LINKS: readonly Link[] = [
  ["", "Overview"],
  ["usage", "Usage and cost"],
  ["audit", "Audit"],
  ["apps", "Apps and tokens"],
  ["limits", "Limits"],
];

const EVERYBODYS_LINKS: readonly Link[] = [
  ["", "Overview"],
  ["people", "People"],
  ["usage", "Usage and cost"],
  ["cost", "What it costs"],
  ["audit", "Audit"],
  ["limits", "Limits"],
  ["health", "Health"],
];

/** A page behind the sign-in: who is signed in, where else to go, and what it is about. */
export function deskPage(view: PageView): Response {
  const { visitor, whose, at, title, beside, body, status = 200, style = "", script = PAGE_SCRIPT } = view;
  const isOwn = whose?.isOwn === true;
  const content = html`<a class="skip" href="#main">Skip to the page</a>
    <header class="bar">
      <div class="top">
        <p class="brand">${LOGO} Pincer</p>
        ${visitor.role === "admin" ? areas(isOwn) : undefined} ${signedIn(visitor)}
      </div>
      <div>${isOwn ? links("/account", OWN_LINKS, at) : links("/admin", EVERYBODYS_LINKS, whose ? "people" : at)}</div>
    </header>
    <main id="main">
      ${whose === undefined || isOwn ? undefined : personHead(whose)}
      <div class="head">
        <h1>${title}</h1>
        ${beside}
      </div>
      ${whose === undefined || isOwn ? undefined : links(whose.base, OWN_LINKS, at, `Pages of ${whose.displayName}`)}
      ${body}
    </main>`;
  const named = whose === undefined || isOwn ? title : `${title} · ${whose.displayName}`;
  return documentResponse({
    title: `${named} · Pincer`,
    content,
    status,
    style: DESK_STYLE + style,
    script: { text: script },
    formAction: "'self'",
  });
}

function areas(isOwn: boolean): Html {
  return html`<nav class="areas" aria-label="Areas">
    <ul>
      <li><a href="/account" ${isOwn ? HERE : undefined}>You</a></li>
      <li><a href="/admin" ${isOwn ? undefined : HERE}>Everybody</a></li>
    </ul>
  </nav>`;
}

function signedIn({ person, expiresAtMs, formKey }: Visitor): Html {
  return html`<div class="who">
    <span>Signed in as ${person.displayName} until ${moment(expiresAtMs)}</span>
    <form method="post" action="/account/sign-out">
      <input type="hidden" name="key" value="${formKey}" />
      <button class="quiet">Sign out</button>
    </form>
  </div>`;
}

function links(base: string, all: readonly Link[], at: string, label = "Pages"): Html {
  return html`<nav class="pages" aria-label="${label}">
    <ul>
      ${all.map(
        ([path, words]) =>
          html`<li>
            <a href="${path === "" ? base : `${base}/${path}`}" ${path === at ? PAGE : undefined}>${words}</a>
          </li>`,
      )}
    </ul>
  </nav>`;
}

function personHead({ userId, displayName }: Whose): Html {
  return html`<p class="crumbs"><a href="/admin/people">People</a> › ${displayName} <code>${userId}</code></p>`;
}

const HERE = html`aria-current="true"`;
const PAGE = html`aria-current="page"`;
