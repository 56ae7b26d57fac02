import type { Scope } from "../../auth/scopes.ts";
import { mayHave } from "../../auth/policy.ts";
import { problemPage } from "../../auth/consent.ts";
import { html } from "../../auth/html.ts";
import { terminalOrder } from "../sandbox/terminal-wire.ts";
import { DEFAULT_HANDLE } from "../shared/handles.ts";
import { type PersonContext, asked, personPage } from "./page-context.ts";
import { stillIn } from "./still-in.ts";
import { TERMINAL_FILES, TERMINAL_SCRIPT, TERMINAL_STYLE } from "./terminal-script.ts";

const NEEDED: readonly Scope[] = ["sandbox:exec"];

/** Whether the visitor may type into the sandboxes of that person: into their own, where their role has commands. */
export function hasTerminal({ visit, whose }: PersonContext): boolean {
  return whose.isOwn && mayHave(visit.visitor.role, NEEDED);
}

export async function terminalPage(context: PersonContext): Promise<Response> {
  if (!hasTerminal(context)) return notForThem();
  const sandbox = asked(context, "sandbox") ?? DEFAULT_HANDLE;
  // A link that somebody else wrote starts nothing that its reader does not have.
  const { handles } = await context.desk.account(context.whose.userId).things();
  const isTheirs = handles.some(({ kind, name }) => kind === "sandbox" && name === sandbox);
  if (!isTheirs && sandbox !== DEFAULT_HANDLE) {
    return problemPage(404, "There is no such sandbox", "Open /account and choose one of those that are there.");
  }
  const body = html`<noscript
      ><p class="note">A terminal is drawn by JavaScript, which is off in this browser.</p></noscript
    >
    <section aria-label="Terminal" id="terminal" data-sandbox="${sandbox}"></section>
    <p class="hint terminal-foot">
      <span>Ctrl+Shift+C copies, Ctrl+Shift+V pastes, Shift+F6 leaves the terminal.</span>
      <label><input type="checkbox" id="aloud" /> For a screen reader</label>
      <button id="new-shell">New shell</button>
    </p>`;
  const beside = html`<p class="hint" id="terminal-state" role="status">Loading…</p>`;
  return personPage(context, {
    ...{ at: "terminal", title: `Terminal in ${sandbox}`, beside, body },
    style: TERMINAL_STYLE,
    script: TERMINAL_SCRIPT,
  });
}

/** The WebSocket of the page. */
export async function terminalSocket(context: PersonContext): Promise<Response> {
  const { visit, desk, url } = context;
  if (!hasTerminal(context)) return notForThem();
  const { headers } = visit.request;
  // Asked for without an upgrade, it tells a page that could not open it that it might.
  if (headers.get("Upgrade")?.toLowerCase() !== "websocket") {
    return new Response("This is a WebSocket.", { status: 426, headers: { Upgrade: "websocket" } });
  }
  // To open a WebSocket a page of any origin is let, and the cookie comes with it: only this says which page it was.
  if (headers.get("Origin") !== desk.publicUrl) {
    return problemPage(403, "This cannot go on", "A terminal is opened by its own page alone.");
  }
  const order = terminalOrder.safeParse(Object.fromEntries(url.searchParams)).data;
  if (order === undefined) return problemPage(400, "This cannot go on", "Open the terminal from /account.");
  return desk.openTerminal(visit.visitor, order, stillIn(visit, desk.now));
}

/** One of the files that the page runs; its version is in its name. */
export async function terminalFile({ desk, url }: PersonContext): Promise<Response> {
  const file = TERMINAL_FILES.find(({ path }) => path === url.pathname);
  if (file === undefined) throw new Error("There is a page for each file.");
  const found = await desk.asset(file.asset);
  if (!found.ok) throw new Error(`The asset ${file.asset} is not there: ${found.status}.`);
  const headers = {
    "Content-Type": file.type,
    "Cache-Control": "private, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
  };
  return new Response(found.body, { headers });
}

function notForThem(): Response {
  return problemPage(
    403,
    "There is no terminal for you here",
    "Your role has no commands, or the sandbox is not yours.",
  );
}
