import { type News, newsNote, signedInLine } from "./account-page.ts";
import type { Visitor } from "./account-session.ts";
import { ACCOUNT_STYLE } from "./account-style.ts";
import { grantList, tokenList } from "./held-list.ts";
import type { Holdings } from "./holdings.ts";
import { type Html, html, pageResponse, plainName } from "./html.ts";
import type { KnownPerson } from "./people.ts";

export interface AdminView {
  readonly visitor: Visitor;
  readonly people: readonly (KnownPerson & { readonly holdings: Holdings })[];
  /** Leads to more people. */
  readonly cursor?: string;
  readonly news?: News;
}

/** The page where an admin sees and revokes what acts for anybody. */
export function adminPage({ visitor, people, cursor, news }: AdminView): Response {
  const body = html`<h1>Everybody’s apps and tokens</h1>
    ${signedInLine(visitor)}
    <p><a href="/account">Your account</a></p>
    ${newsNote(news)} ${people.map((person) => personPart(person, visitor))}
    ${cursor === undefined ? undefined : html`<p><a href="/admin?after=${encodeURIComponent(cursor)}">More people</a></p>`}`;
  const status = news?.kind === "problem" ? news.status : 200;
  return pageResponse({ title: "Everybody’s apps and tokens", body, status, style: ACCOUNT_STYLE });
}

function personPart(
  { userId, displayName, holdings }: KnownPerson & { readonly holdings: Holdings },
  { formKey }: Visitor,
): Html {
  const revoke = { action: "/admin/revoke", formKey, userId };
  return html`<section class="person" aria-labelledby="p-${userId}">
    <h2 id="p-${userId}">${plainName(displayName, 120)}</h2>
    <code>${userId}</code>
    <h3>Apps</h3>
    ${grantList(holdings, revoke)}
    <h3>Personal tokens</h3>
    ${tokenList(holdings, revoke)}
  </section>`;
}
