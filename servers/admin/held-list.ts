import { endpointWords } from "./consent.ts";
import type { HeldGrant, Holdings } from "./holdings.ts";
import { type Html, html, plainName } from "./html.ts";
import { SCOPES, type Scope } from "./scopes.ts";
import type { StoredToken } from "./tokens.ts";

/** Where the buttons of a list go, and what they carry along. */
export interface RevokeForm {
  readonly action: string;
  readonly formKey: string;
  /** Whose they are, on a page of everybody's. */
  readonly userId?: string;
}

export function grantList({ grants }: Holdings, form: RevokeForm): Html {
  if (grants.length === 0) return html`<p class="soft">None.</p>`;
  return html`<ul class="held">
    ${grants.map((grant) => grantItem(grant, form))}
  </ul>`;
}

export function tokenList({ tokens }: Holdings, form: RevokeForm): Html {
  if (tokens.length === 0) return html`<p class="soft">None.</p>`;
  return html`<ul class="held">
    ${tokens.map((token) => tokenItem(token, form))}
  </ul>`;
}

function grantItem({ id, clientName, resource, scopes, createdAtMs }: HeldGrant, form: RevokeForm): Html {
  return html`<li>
    <h3>${clientName}</h3>
    <dl>
      <dt>Allowed</dt>
      <dd>${moment(createdAtMs)}</dd>
      <dt>It may call</dt>
      <dd>${endpointWords(resource)}</dd>
      <dt>It may</dt>
      <dd>${scopeWords(scopes)}</dd>
    </dl>
    ${revokeButton({ kind: "grant", id, name: clientName }, form)}
  </li>`;
}

function tokenItem(token: StoredToken, form: RevokeForm): Html {
  const { id, scopes, createdAtMs, expiresAtMs, lastUsedAtMs } = token;
  const name = plainName(token.name, 100);
  return html`<li>
    <h3>${name}</h3>
    <dl>
      <dt>Made</dt>
      <dd>${moment(createdAtMs)}</dd>
      <dt>Ends</dt>
      <dd>${moment(expiresAtMs)}</dd>
      <dt>Last used</dt>
      <dd>${lastUsedAtMs === undefined ? "never" : moment(lastUsedAtMs)}</dd>
      <dt>It may</dt>
      <dd>${scopeWords(scopes)}</dd>
    </dl>
    ${revokeButton({ kind: "token", id, name }, form)}
  </li>`;
}

function revokeButton(
  { kind, id, name }: { readonly kind: "grant" | "token"; readonly id: string; readonly name: string },
  { action, formKey, userId }: RevokeForm,
): Html {
  return html`<form method="post" action="${action}">
    <input type="hidden" name="key" value="${formKey}" />
    <input type="hidden" name="kind" value="${kind}" />
    <input type="hidden" name="id" value="${id}" />
    ${userId === undefined ? undefined : html`<input type="hidden" name="user" value="${userId}" />`}
    <button class="small">Revoke<span class="unseen"> ${name}</span></button>
  </form>`;
}

function scopeWords(scopes: readonly Scope[]): Html {
  return html`<ul>
    ${scopes.map((scope) => html`<li>${SCOPES[scope]}</li>`)}
  </ul>`;
}

/** To the minute, as one time for everybody: the page runs no script that could know the reader's. */
export function moment(atMs: number): Html {
  const iso = new Date(atMs).toISOString();
  return html`<time datetime="${iso}">${iso.slice(0, 10)} ${iso.slice(11, 16)} UTC</time>`;
}
