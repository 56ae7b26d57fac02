import { type Html, html } from "../../auth/html.ts";

/** Where a page's script says whether the page is live; `from` is where it hears what changes. */
export function liveNote(from: string): Html {
  return html`<p class="hint" id="live" role="status" data-from="${from}"></p>`;
}
