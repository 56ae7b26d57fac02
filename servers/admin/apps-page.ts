import type { Visitor } from "../../auth/account-session.ts";
import { type Html, html } from "../../auth/html.ts";
import { withinRole } from "../../auth/policy.ts";
import { ALL_SCOPES, SCOPES, type Scope, impliedBy } from "../../auth/scopes.ts";
import { grantList, tokenList } from "./held-list.ts";
import { newsNote, problemNote } from "./news.ts";
import { type PersonContext, personPage } from "./page-context.ts";

/** What has just come of the form that makes a token. */
export type TokenNews =
  /** The one time that a token is shown. */
  | { readonly kind: "made"; readonly token: string }
  | { readonly kind: "problem"; readonly status: number; readonly message: string };

const TOKEN_DAYS = [1, 7, 30, 90, 365];

/** Where people see and revoke what acts for them, and make personal tokens; and admins, what acts for anybody. */
export async function appsPage(context: PersonContext, news?: TokenNews): Promise<Response> {
  const { visit, desk, whose, url } = context;
  const [held, lastDays] = await Promise.all([
    visit.holdings.list(whose.userId),
    desk.account(whose.userId).lastDays(),
  ]);
  const revoke = { action: `${whose.base}/revoke`, formKey: visit.visitor.formKey };
  const body = html`${newsNote(url)} ${tokenNote(news)}
    <h2>Apps</h2>
    ${grantList(held, lastDays, revoke)}
    <h2>Personal tokens</h2>
    ${tokenList(held, revoke)} ${whose.isOwn ? tokenForm(visit.visitor, visit.maxTokenDays) : undefined}`;
  const status = news?.kind === "problem" ? news.status : 200;
  return personPage(context, { at: "apps", title: "Apps and tokens", body, status });
}

function tokenNote(news: TokenNews | undefined): Html | undefined {
  switch (news?.kind) {
    case undefined:
      return undefined;
    case "made":
      return html`<div class="note" role="status">
        <strong>Your new token, shown this once.</strong> Whoever has it may do what it may: keep it as you keep a
        password.
        <code class="secret">${news.token}</code>
      </div>`;
    case "problem":
      return problemNote(news.message);
  }
}

function tokenForm({ role, formKey }: Visitor, maxTokenDays: number): Html {
  return html`<h2>Make a token</h2>
    <p class="hint">For clients that cannot open a browser. It serves every endpoint that its permissions cover.</p>
    <form class="form" method="post" action="/account/tokens" autocomplete="off">
      <input type="hidden" name="key" value="${formKey}" />
      <label for="name">Name</label>
      <input class="text" id="name" name="name" type="text" required maxlength="100" />
      <label for="days">It ends after</label>
      <select class="text" id="days" name="days">
        ${TOKEN_DAYS.filter((days) => days <= maxTokenDays).map(dayOption)}
      </select>
      <fieldset>
        <legend>What it may do</legend>
        ${withinRole(ALL_SCOPES, role).map(scopeBox)}
      </fieldset>
      <div class="acts"><button class="primary">Make the token</button></div>
    </form>`;
}

function dayOption(days: number): Html {
  return html`<option value="${`${days}`}" ${days === 30 ? html`selected` : undefined}>
    ${days === 1 ? "1 day" : `${days} days`}
  </option>`;
}

function scopeBox(scope: Scope): Html {
  const implied = impliedBy(scope);
  const also = implied.length === 0 ? undefined : html`<span class="hint">Includes ${implied.join(" and ")}.</span>`;
  return html`<label class="scope">
    <input type="checkbox" name="scope" value="${scope}" />
    <span>${SCOPES[scope]}<code>${scope}</code>${also}</span>
  </label>`;
}
