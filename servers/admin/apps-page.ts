import type { Visitor } from "./account-session.ts";
import { ACCOUNT_STYLE } from "./account-style.ts";
import { grantList, moment, tokenList } from "./held-list.ts";
import type { Holdings } from "./holdings.ts";
import { type Html, html, pageResponse } from "./html.ts";
import { withinRole } from "./policy.ts";
import { ALL_SCOPES, SCOPES, type Scope, impliedBy } from "./scopes.ts";

export interface AccountView {
  readonly visitor: Visitor;
  readonly holdings: Holdings;
  readonly maxTokenDays: number;
  /** What has just happened. */
  readonly news?: News;
}

export type News =
  | { readonly kind: "revoked" }
  /** The one time that a token is shown. */
  | { readonly kind: "made"; readonly token: string }
  | { readonly kind: "problem"; readonly status: number; readonly message: string };

const TOKEN_DAYS = [1, 7, 30, 90, 365];

/** The page where people see and revoke what acts for them, and make personal tokens. */
export function accountPage({ visitor, holdings, maxTokenDays, news }: AccountView): Response {
  const revoke = { action: "/account/revoke", formKey: visitor.formKey };
  const body = html`<h1>Your account</h1>
    ${signedInLine(visitor)}
    ${visitor.role === "admin" ? html`<p><a href="/admin">Everybody’s apps and tokens</a></p>` : undefined}
    ${newsNote(news)}
    <h2>Apps that act for you</h2>
    ${grantList(holdings, revoke)}
    <h2>Personal tokens</h2>
    ${tokenList(holdings, revoke)} ${tokenForm(visitor, maxTokenDays)}`;
  const status = news?.kind === "problem" ? news.status : 200;
  return pageResponse({ title: "Your account", body, status, style: ACCOUNT_STYLE });
}

/** Who is signed in, until when, and the way out. */
export function signedInLine({ person, expiresAtMs, formKey }: Visitor): Html {
  return html`<div class="top">
    <p class="soft">Signed in as ${person.displayName} until ${moment(expiresAtMs)}</p>
    <form method="post" action="/account/sign-out">
      <input type="hidden" name="key" value="${formKey}" />
      <button class="small">Sign out</button>
    </form>
  </div>`;
}

export function newsNote(news: News | undefined): Html | undefined {
  switch (news?.kind) {
    case undefined:
      return undefined;
    case "revoked":
      return html`<p class="note" role="status">Revoked. Where it is at work, it stops within two minutes.</p>`;
    case "made":
      return html`<div class="note" role="status">
        <strong>Your new token, shown this once.</strong> Whoever has it may do what it may: keep it as you keep a
        password.
        <code class="secret">${news.token}</code>
      </div>`;
    case "problem":
      return html`<p class="note error" role="alert">${news.message}</p>`;
  }
}

function tokenForm({ role, formKey }: Visitor, maxTokenDays: number): Html {
  return html`<h2>Make a token</h2>
    <p class="hint">For clients that cannot open a browser. It serves every endpoint that its permissions cover.</p>
    <form method="post" action="/account/tokens" autocomplete="off">
      <input type="hidden" name="key" value="${formKey}" />
      <label class="label" for="name">Name</label>
      <input class="text" id="name" name="name" type="text" required maxlength="100" />
      <label class="label" for="days">It ends after</label>
      <select class="text" id="days" name="days">
        ${TOKEN_DAYS.filter((days) => days <= maxTokenDays).map(dayOption)}
      </select>
      <fieldset>
        <legend>What it may do</legend>
        ${withinRole(ALL_SCOPES, role).map(scopeBox)}
      </fieldset>
      <div class="actions"><button class="primary">Make the token</button></div>
    </form>`;
}

function dayOption(days: number): Html {
  return html`<option value="${`${days}`}" ${days === 30 ? html`selected` : undefined}>
    ${days === 1 ? "1 day" : `${days} days`}
  </option>`;
}

function scopeBox(scope: Scope): Html {
  const implied = impliedBy(scope);
  const also = implied.length === 0 ? undefined : html`<span class="hint">includes ${implied.join(" and ")}</span>`;
  return html`<label class="scope">
    <input type="checkbox" name="scope" value="${scope}" />
    <span>${SCOPES[scope]}<br /><code>${scope}</code>${also}</span>
  </label>`;
}
