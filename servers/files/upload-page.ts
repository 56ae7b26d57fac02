import { type Html, html, pageResponse } from "../../auth/html.ts";
import type { StoredLink } from "../account/share-links.ts";
import { UPLOAD_PATH } from "../shared/network-policy.ts";
import { MAX_UPLOAD_BYTES, PART_BYTES } from "./staging.ts";
import { UPLOAD_SCRIPT } from "./upload-script.ts";

export const UPLOAD_SCRIPT_PATH = `${UPLOAD_PATH}upload.js`;

/** The page behind an upload link: what it lets in, a place to drop files, and how to send them from a terminal. */
export function uploadPage({ path, expiresAtMs }: StoredLink, url: string): Response {
  const isFolder = path.endsWith("/");
  const target = isFolder && !url.endsWith("/") ? `${url}/` : url;
  const title = isFolder ? "Send files" : "Send a file";
  const page = pageResponse({
    title,
    status: 200,
    style: STYLE,
    script: UPLOAD_SCRIPT_PATH,
    body: html`<h1>${title}</h1>
      <p class="soft">
        ${isFolder ? "Whoever has this link can put files" : "Whoever has this link can put one file"} into the Pincer
        workspace of the person who made it, and can see nothing of it.
      </p>
      <dl>
        <dt>${isFolder ? "Goes into the folder" : "Is kept as"}</dt>
        <dd>${path}</dd>
        <dt>Works until</dt>
        <dd>${time(expiresAtMs)}</dd>
        <dt>Takes up to</dt>
        <dd>${String(MAX_UPLOAD_BYTES / 1024 ** 3)} GB a file</dd>
      </dl>
      <noscript>
        <p class="note">
          Sending from this page needs JavaScript, which cuts files into parts. Without it, send them from a terminal.
        </p>
      </noscript>
      <section
        id="upload"
        hidden
        data-url="${new URL(target).pathname}"
        data-part-bytes="${String(PART_BYTES)}"
        data-max-bytes="${String(MAX_UPLOAD_BYTES)}"
        ${isFolder ? FOLDER : undefined}
      >
        <label class="drop" for="files">
          <strong>${isFolder ? "Choose files" : "Choose a file"}</strong>
          <span class="hint">or drop ${isFolder ? "them" : "it"} anywhere on this page</span>
          <input id="files" class="unseen" type="file" ${isFolder ? MULTIPLE : undefined} />
        </label>
        <ul id="list" aria-label="Files sent"></ul>
        <p id="news" class="unseen" role="status"></p>
      </section>
      ${terminal(target, isFolder)}`,
  });
  page.headers.set("Referrer-Policy", "no-referrer");
  return page;
}

/** The page's own program, served from our origin so that the page's policy need allow nothing inline. */
export function uploadScript(): Response {
  return new Response(UPLOAD_SCRIPT, {
    headers: {
      "Content-Type": "text/javascript; charset=utf-8",
      "Cache-Control": "no-cache",
      "X-Content-Type-Options": "nosniff",
      "Cross-Origin-Resource-Policy": "same-origin",
    },
  });
}

const FOLDER = html`data-folder`;
const MULTIPLE = html`multiple`;

function time(ms: number): Html {
  const iso = new Date(ms).toISOString();
  return html`<time datetime="${iso}">${iso.slice(0, 16).replace("T", " ")} UTC</time>`;
}

function terminal(url: string, isFolder: boolean): Html {
  const target = isFolder ? `${url}NAME` : url;
  return html`<details>
    <summary>From a terminal</summary>
    <p>A file of up to 90 MB in one go:</p>
    <pre><code>curl -T FILE '${url}'</code></pre>
    <p>A larger file in parts${isFolder ? html`, NAME being what it is to be called` : undefined}:</p>
    <pre id="parts"><code>${inParts(target)}</code></pre>
    <p class="hint">
      Where it was cut off, <code>curl "$URL?upload=$ID"</code> lists the parts that are there; the others can be sent
      within a day.
    </p>
  </details>`;
}

function inParts(url: string): string {
  return `URL='${url}'
FILE=FILE
SIZE=$(($(wc -c < "$FILE"))); PART=${PART_BYTES}; N=0
ID=$(curl -fsS -X POST "$URL?uploads&size=$SIZE") &&
while [ $((N * PART)) -lt "$SIZE" ]; do
  tail -c +$((N * PART + 1)) "$FILE" | head -c "$PART" |
    curl -fsS --retry 5 -X PUT --data-binary @- \\
      "$URL?upload=$ID&part=$((N + 1))" || break
  N=$((N + 1))
done &&
curl -fsS -X POST "$URL?upload=$ID&complete"`;
}

const STYLE = `
.drop {
  position: relative;
  display: grid;
  gap: 0.6rem;
  justify-items: center;
  padding: 1.75rem 1rem;
  text-align: center;
  border: 2px dashed var(--field);
  border-radius: 12px;
  cursor: pointer;
}
.drop:hover, .dropping .drop { border-color: var(--accent); }
.drop:focus-within { outline: 3px solid var(--accent); outline-offset: 2px; }
.drop strong { padding: 0.6rem 1.4rem; border-radius: 10px; background: var(--accent); color: var(--on-accent); }
[hidden] { display: none; }
.unseen { position: absolute; width: 1px; height: 1px; margin: 0; overflow: hidden; clip-path: inset(50%); }
#list { margin: 1.25rem 0 0; padding: 0; list-style: none; }
#list li { display: grid; grid-template-columns: 1fr auto; gap: 0.15rem 0.75rem; align-items: center; padding: 0.7rem 0;
  border-bottom: 1px solid var(--line); }
#list .name { font-weight: 550; }
#list .state { grid-column: 1; font-size: 0.9rem; color: var(--soft); }
#list .failed { color: var(--bad-line); }
#list progress { grid-column: 1 / -1; width: 100%; height: 0.5rem; accent-color: var(--accent); }
#list button { grid-row: 1 / 3; grid-column: 2; flex: none; min-height: 2.5rem; padding: 0.3rem 0.9rem; font-size: 0.9rem; }
details { margin-top: 1.75rem; border-top: 1px solid var(--line); padding-top: 1rem; }
summary { font-weight: 650; cursor: pointer; }
pre { margin: 0.5rem 0 1rem; padding: 0.75rem 0.9rem; overflow-x: auto; background: var(--page); border-radius: 8px; }
pre code { color: var(--text); }
`;
