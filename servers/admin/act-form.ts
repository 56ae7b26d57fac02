import { type Html, html } from "../../auth/html.ts";

/** What can be done to a thing from a page. */
export type ThingAct =
  | "snapshot"
  | "restart"
  | "sleep"
  | "reset"
  | "kill"
  | "withdraw"
  | "start-preset"
  | "stop-preset"
  | "close"
  | "cancel";

/** Where forms go, and the key of the session that lets them in. */
export interface ActForm {
  readonly base: string;
  readonly formKey: string;
}

/** What is acted on. */
export interface ActedOn {
  readonly kind: "sandbox" | "browser" | "run";
  /** Of a run, its id. */
  readonly name: string;
  readonly process?: string;
  readonly port?: number;
  readonly preset?: { readonly name: string; readonly title: string };
}

interface ActView {
  readonly act: ThingAct;
  readonly of: ActedOn;
  readonly words: string;
  /** Lets focus come back to it once its part of the page was replaced. */
  readonly id: string;
}

export function actButton({ base, formKey }: ActForm, { act, of, words, id }: ActView): Html {
  return html`<form method="post" action="${base}/act">
    <input type="hidden" name="key" value="${formKey}" />
    <input type="hidden" name="act" value="${act}" />
    <input type="hidden" name="kind" value="${of.kind}" />
    <input type="hidden" name="name" value="${of.name}" />
    ${of.process === undefined ? undefined : html`<input type="hidden" name="process" value="${of.process}" />`}
    ${of.port === undefined ? undefined : html`<input type="hidden" name="port" value="${of.port}" />`}
    ${of.preset === undefined ? undefined : html`<input type="hidden" name="preset" value="${of.preset.name}" />`}
    <button id="${id}">
      ${words}<span class="unseen"> ${of.process ?? of.port ?? of.preset?.title ?? of.name}</span>
    </button>
  </form>`;
}

/** For what cannot be taken back: a page asks first. */
export function confirmLink({ base }: ActForm, { act, of, words, id }: ActView): Html {
  const query = new URLSearchParams({ act, kind: of.kind, name: of.name });
  return html`<a class="button grave" id="${id}" href="${base}/confirm?${query.toString()}">
    ${words}<span class="unseen"> ${of.name}</span>
  </a>`;
}
