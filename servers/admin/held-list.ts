import { endpointWords } from "../../auth/consent.ts";
import type { HeldGrant, Holdings } from "../../auth/holdings.ts";
import { type Html, html, plainName } from "../../auth/html.ts";
import { SCOPES, type Scope } from "../../auth/scopes.ts";
import type { StoredToken } from "../../auth/tokens.ts";
import { card } from "./card.ts";
import { moment } from "./format.ts";

/** Where the buttons of a list go, and what they carry along. */
export interface RevokeForm {
  readonly action: string;
  readonly formKey: string;
}

/** `lastDays`: when each client last called, to the day. */
export function grantList({ grants }: Holdings, lastDays: Readonly<Record<string, string>>, form: RevokeForm): Html {
  if (grants.length === 0) return html`<p class="soft">None.</p>`;
  return html`<div class="things">${grants.map((grant) => grantCard(grant, lastDays[grant.clientId], form))}</div>`;
}

export function tokenList({ tokens }: Holdings, form: RevokeForm): Html {
  if (tokens.length === 0) return html`<p class="soft">None.</p>`;
  return html`<div class="things">${tokens.map((token) => tokenCard(token, form))}</div>`;
}

function grantCard(grant: HeldGrant, lastDay: string | undefined, form: RevokeForm): Html {
  const { id, clientName, resource, scopes, createdAtMs } = grant;
  return card({
    id: `grant-${id}`,
    name: clientName,
    acts: revokeButton({ kind: "grant", id, name: clientName }, form),
    facts: [
      ["Allowed", moment(createdAtMs)],
      ["Last used", lastDay ?? "never"],
      ["It may call", endpointWords(resource)],
      ["It may", scopeWords(scopes), true],
    ],
  });
}

function tokenCard(token: StoredToken, form: RevokeForm): Html {
  const { id, scopes, createdAtMs, expiresAtMs, lastUsedAtMs } = token;
  const name = plainName(token.name, 100);
  return card({
    id: `token-${id}`,
    name,
    acts: revokeButton({ kind: "token", id, name }, form),
    facts: [
      ["Made", moment(createdAtMs)],
      ["Ends", moment(expiresAtMs)],
      ["Last used", lastUsedAtMs === undefined ? "never" : moment(lastUsedAtMs)],
      ["It may", scopeWords(scopes), true],
    ],
  });
}

function revokeButton(
  { kind, id, name }: { readonly kind: "grant" | "token"; readonly id: string; readonly name: string },
  { action, formKey }: RevokeForm,
): Html {
  return html`<form method="post" action="${action}">
    <input type="hidden" name="key" value="${formKey}" />
    <input type="hidden" name="kind" value="${kind}" />
    <input type="hidden" name="id" value="${id}" />
    <button>Revoke<span class="unseen"> ${name}</span></button>
  </form>`;
}

function scopeWords(scopes: readonly Scope[]): Html {
  return html`<ul>
    ${scopes.map((scope) => html`<li>${SCOPES[scope]}</li>`)}
  </ul>`;
}
