import { type Html, html } from "../../auth/html.ts";
import type { Check, HealthReport, ReportedError } from "./health-report.ts";

/** What each state is called on the page: never told by colour alone. */
const WORDS: Readonly<Record<Check["state"], string>> = { ok: "OK", warning: "Warning", broken: "Broken", off: "Off" };
/** What needs somebody comes first. */
const ORDER: readonly Check["state"][] = ["broken", "warning", "off", "ok"];

export const HEALTH_STYLE = `
.checks { margin: 1rem 0 0; padding: 0; list-style: none; }
.checks > li { padding: 0.7rem 0; border-top: 1px solid var(--line); }
.checks p { margin: 0.15rem 0 0; }
.state { display: inline-block; min-width: 4.6rem; font-weight: 650; }
.state-broken { color: var(--bad-line); }
.state-warning { color: var(--warn-line); }
.state-off, .took { color: var(--soft); }
.took { float: inline-end; font-size: 0.85rem; }
`;

/** The body of `/admin/health`, below its heading. */
export function healthPage({ checks, versions, errors }: HealthReport): Html {
  const sorted = ORDER.flatMap((state) => checks.filter((check) => check.state === state));
  return html`<p role="status">${summary(checks)}</p>
    <p class="hint">Each was tried just now. Load the page again to try again; npm run doctor does it in a terminal.</p>
    <ul class="checks">
      ${sorted.map(checkItem)}
    </ul>
    <h2>Last errors</h2>
    ${
      errors.length === 0
        ? html`<p class="soft">No call has ended in an unexpected error.</p>`
        : html`<p class="hint">Look for a reference in the Worker’s log: what broke stands there.</p>
            <ul class="checks">
              ${errors.map(errorItem)}
            </ul>`
    }
    <h2>Versions</h2>
    <dl>
      ${versions.map(
        ({ name, version }) =>
          html`<dt>${name}</dt>
            <dd>${version}</dd>`,
      )}
    </dl>`;
}

function summary(checks: readonly Check[]): string {
  const count = (state: Check["state"]): number => checks.filter((check) => check.state === state).length;
  const [broken, warnings] = [count("broken"), count("warning")];
  if (broken === 0 && warnings === 0) return "Everything that is set up works.";
  const parts = [
    ...(broken === 0 ? [] : [`${broken} ${broken === 1 ? "is" : "are"} broken`]),
    ...(warnings === 0 ? [] : [`${warnings} ${warnings === 1 ? "needs" : "need"} a look`]),
  ];
  return `Of ${checks.length} checks, ${parts.join(" and ")}.`;
}

function checkItem({ name, state, says, todo, took_ms: tookMs }: Check): Html {
  return html`<li>
    <span class="took">${String(tookMs)} ms</span>
    <span class="state state-${state}">${WORDS[state]}</span> <strong>${name}</strong>
    <p>${says}</p>
    ${todo === undefined ? undefined : html`<p class="soft">${todo}</p>`}
  </li>`;
}

function errorItem({ reference, at, tool, person }: ReportedError): Html {
  return html`<li>
    <time datetime="${at}">${at.slice(0, 16).replace("T", " ")} UTC</time> <strong>${tool}</strong>
    <p class="soft">${person}, reference <code>${reference}</code></p>
  </li>`;
}
