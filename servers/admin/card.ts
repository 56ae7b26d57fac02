import { type Html, html } from "../../auth/html.ts";

export type Fact = readonly [name: string, value: Html | string, isLong?: boolean];

interface CardView {
  readonly id: string;
  readonly name: string;
  readonly state?: Html | undefined;
  readonly acts?: Html | readonly Html[] | undefined;
  readonly facts: readonly Fact[];
  readonly more?: Html | undefined;
}

/** One thing with what is known of it, and what can be done to it. It can be replaced by itself. */
export function card({ id, name, state, acts, facts, more }: CardView): Html {
  return html`<article class="thing" id="${id}" aria-labelledby="${id}-name">
    <header>
      <h3 id="${id}-name">${name}</h3>
      ${state}
      <div class="acts">${acts}</div>
    </header>
    <dl class="facts">
      ${facts.map(
        ([fact, value, isLong]) =>
          html`<div class="${isLong === true ? "long" : ""}">
            <dt>${fact}</dt>
            <dd>${value}</dd>
          </div>`,
      )}
    </dl>
    ${more}
  </article>`;
}
