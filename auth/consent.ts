import type { ConsentDescription } from "@cloudflare/workers-oauth-provider";
import { type Html, html, pageResponse, plainName } from "./html.ts";
import type { Refused } from "./identity.ts";
import type { Offer } from "./policy.ts";
import { type Problem, codeField, problemNote } from "./sign-in-code.ts";
import { SCOPES, type Scope, impliedBy } from "./scopes.ts";

export interface ConsentView {
  readonly client: ConsentDescription;
  readonly voucher: Voucher;
  readonly handle: string;
  /** The endpoint that the token will be good for, `https://pincer.example.com/mcp/files`. */
  readonly resource: string;
  readonly person: string;
  /** Says to the server whom the page was shown to, where the next request does not. */
  readonly personField?: string;
  readonly offer: Offer;
  readonly ticked: readonly Scope[];
  /** What the person left out when they last allowed this client something here. */
  readonly leftOut: readonly Scope[];
  readonly asksForCode: boolean;
  /** Why the page is shown again. */
  readonly problem?: Problem;
}

/** Who says that the client is what it calls itself. */
export type Voucher =
  | { readonly kind: "nobody" }
  /** Whoever has that host serves the document in which the client describes itself. */
  | { readonly kind: "host"; readonly host: string }
  | { readonly kind: "operator" };

/** The page where a caller approves scopes. Every word about the client is the client's own, and is escaped. */
export function consentPage(view: ConsentView, headers: Headers): Response {
  const name = plainName(view.client.clientName);
  const title = `${view.problem === undefined ? "" : "Not yet: "}Allow ${name} to use Pincer?`;
  const body = html`<h1>Allow “${name}” to use Pincer for you?</h1>
    ${voucherNote(view.voucher)} ${view.problem?.isAboutCode === false ? problemNote(view.problem) : undefined}
    <dl>
      <dt>Access goes to</dt>
      <dd>${destination(view.client)}</dd>
      <dt>It may call</dt>
      <dd>${endpointWords(view.resource)}</dd>
      <dt>On behalf of</dt>
      <dd>${view.person}</dd>
    </dl>
    ${localAppNote(view.client)}
    <form method="post" action="/authorize" autocomplete="off">
      <input type="hidden" name="handle" value="${view.handle}" />
      ${view.personField === undefined ? undefined : html`<input type="hidden" name="person" value="${view.personField}" />`}
      <fieldset>
        <legend>What it may do</legend>
        <p class="hint">Untick what it should not do. It is told to ask again when it needs more.</p>
        ${view.offer.scopes.map((scope) => scopeBox(scope, view))}
      </fieldset>
      ${view.asksForCode ? codeField(view.problem) : undefined}
      <div class="actions">
        <button class="primary" name="decision" value="allow">Allow</button>
        <button name="decision" value="deny" formnovalidate>Deny</button>
      </div>
    </form>`;
  return pageResponse({ title, body, status: view.problem?.status ?? 200, headers });
}

function voucherNote(voucher: Voucher): Html {
  switch (voucher.kind) {
    case "nobody":
      return html`<p class="soft">The app gave itself this name; nobody has verified it.</p>`;
    case "host":
      return html`<p class="soft">It is an app of <strong>${voucher.host}</strong>, which chose this name.</p>`;
    case "operator":
      return html`<p class="soft">Whoever runs this Pincer has registered the app under this name.</p>`;
  }
}

/** For what cannot go on: shown here, never sent to an address that a stranger registered. */
export function problemPage(status: number, heading: string, message: string, headers?: Headers): Response {
  return pageResponse({
    title: heading,
    status,
    ...(headers === undefined ? {} : { headers }),
    body: html`<h1>${heading}</h1>
      <p>${message}</p>`,
  });
}

/** The page for whom sign-in refuses. */
export function refusalPage({ message, isForNow }: Refused, headers?: Headers): Response {
  return isForNow === true
    ? problemPage(503, "Try again in a minute", message, headers)
    : problemPage(403, "You are not signed in", message, headers);
}

/** The host alone would do for the web; of `evil://claude.ai/` it would show `claude.ai`, so apps show all of it. */
function destination({ redirectUri }: ConsentDescription): string {
  const url = new URL(redirectUri);
  return isWeb(url) ? url.host : plainName(redirectUri, 120);
}

function localAppNote({ redirectUri, redirectIsLoopback }: ConsentDescription): Html | undefined {
  const where = redirectIsLoopback ? "an app on this computer" : "whichever app on this device opens such links";
  if (!redirectIsLoopback && isWeb(new URL(redirectUri))) return undefined;
  return html`<p class="note">
    <strong>This sends access to ${where}.</strong> Go on only if you have just started to sign in from it.
  </p>`;
}

function isWeb(url: URL): boolean {
  return url.protocol === "https:" || url.protocol === "http:";
}

/** Which servers an endpoint leads to, and its address. */
export function endpointWords(resource: string): Html {
  const server = /\/mcp\/([a-z]+)$/.exec(resource)?.[1];
  const words = server === undefined ? "All servers of this suite" : `The ${server} server`;
  return html`${words}<br /><code>${resource}</code>`;
}

function scopeBox(scope: Scope, { ticked, leftOut }: ConsentView): Html {
  const isTicked = ticked.includes(scope);
  const implied = impliedBy(scope);
  const also = implied.length === 0 ? undefined : html`<span class="hint">includes ${implied.join(" and ")}</span>`;
  const before = leftOut.includes(scope) ? html`<span class="hint">You left this out last time.</span>` : undefined;
  return html`<label class="scope">
    <input type="checkbox" name="scope" value="${scope}" ${isTicked ? CHECKED : undefined} />
    <span>${SCOPES[scope]}<br /><code>${scope}</code>${also}${before}</span>
  </label>`;
}

const CHECKED = html`checked`;
