import { type Html, html } from "../../auth/html.ts";
import { exactMoment, plural } from "./format.ts";
import type { Check, HealthReport } from "./health-report.ts";
import { personName } from "./names.ts";
import { type PageContext, everybodysPage } from "./page-context.ts";
import { table } from "./table.ts";

/** What each state is called and looks like; never told by colour alone. */
const STATES: Readonly<Record<Check["state"], readonly [word: string, className: string]>> = {
  broken: ["Broken", "state bad"],
  warning: ["Warning", "state look"],
  off: ["Off", "state"],
  ok: ["OK", "state on"],
};
/** What needs somebody comes first. */
const ORDER: readonly Check["state"][] = ["broken", "warning", "off", "ok"];

/** What was tried just now, what broke lately, and which versions run. */
export async function healthPage(context: PageContext): Promise<Response> {
  const { desk, url, visit } = context;
  const report = await desk.health(visit.visitor.person.userId, url.origin);
  const body = html`<p class="lead" role="status">${summary(report.checks)}</p>
    ${checkTable(report.checks)}
    <h2>What broke last</h2>
    ${errorTable(report)}
    <h2>Versions</h2>
    ${table({
      caption: "Versions",
      hasHiddenCaption: true,
      columns: [{ head: "What" }, { head: "Version" }],
      rows: report.versions.map(({ name, version }) => ({ cells: [name, version] })),
      empty: "None is known.",
    })}`;
  const again = html`<a class="button" href="/admin/health">Try again</a>`;
  return everybodysPage(context, { at: "health", title: "Health", beside: again, body });
}

function summary(checks: readonly Check[]): string {
  const count = (state: Check["state"]): number => checks.filter((check) => check.state === state).length;
  const [broken, warnings] = [count("broken"), count("warning")];
  const tried = "Each was tried just now; npm run doctor tries the same in a terminal.";
  if (broken + warnings === 0) return `Everything that is set up works. ${tried}`;
  const parts = [
    ...(broken === 0 ? [] : [`${broken} ${broken === 1 ? "is" : "are"} broken`]),
    ...(warnings === 0 ? [] : [`${warnings} ${warnings === 1 ? "needs" : "need"} a look`]),
  ];
  return `Of ${plural(checks.length, "check")}, ${parts.join(" and ")}. ${tried}`;
}

function checkTable(checks: readonly Check[]): Html {
  const sorted = ORDER.flatMap((state) => checks.filter((check) => check.state === state));
  return table({
    caption: "Checks",
    hasHiddenCaption: true,
    columns: [{ head: "Check" }, { head: "State" }, { head: "What was found" }, { head: "Took", isNumber: true }],
    rows: sorted.map(({ name, state, says, todo, took_ms: tookMs }) => {
      const [word, className] = STATES[state];
      const found = html`<span class="said"
        >${says} ${todo === undefined ? undefined : html`<span class="soft">${todo}</span>`}</span
      >`;
      return { cells: [name, html`<span class="${className}">${word}</span>`, found, `${tookMs} ms`] };
    }),
    empty: "Nothing is checked.",
  });
}

function errorTable({ errors }: HealthReport): Html {
  return table({
    caption: "Calls that broke inside Pincer; the Worker’s log says more under the reference",
    columns: [{ head: "Time (UTC)" }, { head: "Reference" }, { head: "Tool" }, { head: "Person" }],
    rows: errors.map(({ at, reference, tool, user_id: userId, person: displayName }) => ({
      cells: [
        exactMoment(Date.parse(at)),
        html`<code>${reference}</code>`,
        html`<code>${tool}</code>`,
        html`<a href="/admin/people/${userId}">${personName({ userId, displayName })}</a>`,
      ],
    })),
    empty: "Nothing has broken.",
  });
}
