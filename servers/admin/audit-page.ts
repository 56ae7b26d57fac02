import { type Html, html, oneLine } from "../../auth/html.ts";
import type { AuditPage } from "../account/audit-query.ts";
import type { SpentRun } from "../account/run-table.ts";
import { ERROR_CODES } from "../shared/errors.ts";
import { FILTER_FIELDS, filterIn, queryFor } from "./audit-filter.ts";
import { type ShownEntry, auditTable } from "./audit-table.ts";
import { moment, plural, usd } from "./format.ts";
import { lookAt } from "./look.ts";
import { nameClients, personName } from "./names.ts";
import { newsNote } from "./news.ts";
import { type PageContext, type PersonContext, everybodysPage, personPage } from "./page-context.ts";
import { periodOf } from "./period.ts";

const ROWS_A_PAGE = 100;
/** Of everybody's audit: whose calls are looked for, and how many of each. */
const PEOPLE_LOOKED_AT = 25;
const ROWS_OF_EACH = 50;
const CLIENTS_OFFERED = 50;

const OUTCOMES = ["ok", "failed", ...ERROR_CODES];

/** The audit of one person. */
export async function personsAudit(context: PersonContext): Promise<Response> {
  const { desk, whose, url, visit } = context;
  const account = desk.account(whose.userId);
  const filter = filterIn(url);
  const cursor = url.searchParams.get("cursor");
  const [page, { runs }, used] = await Promise.all([
    account.audit({ ...filter, limit: ROWS_A_PAGE, ...(cursor === null ? {} : { cursor }) }),
    account.things(),
    account.usage({ ...periodOf("30", desk.now().getTime()), by: "client" }),
  ]);
  const known = used.map(({ key }) => key).slice(0, CLIENTS_OFFERED);
  const clients = await nameClients([...known, ...page.rows.map(({ clientId }) => clientId)], context, whose.userId);
  const body = html`${newsNote(url)} ${filter.runId === undefined ? undefined : runHead(filter.runId, runs, whose.base)}
  ${filterForm(`${whose.base}/audit`, url, new Map([...clients].filter(([id]) => known.includes(id))))}
  ${auditTable({
    rows: page.rows,
    clients,
    runs,
    baseOf: () => whose.base,
    hasPeople: false,
    empty: page.cursor === undefined ? "No call is like that." : "Nothing found so far.",
  })}
  ${further(page, url)} ${exports(whose.base, url, visit.visitor.formKey, whose.isOwn)}`;
  return personPage(context, { at: "audit", title: "Audit", body });
}

/** The newest calls of those who were at work last. */
export async function everybodysAudit(context: PageContext): Promise<Response> {
  const { desk, url } = context;
  const filter = filterIn(url);
  const { people } = await desk.directory().people({ limit: PEOPLE_LOOKED_AT });
  const looks = await Promise.all(
    people.map(async (person) => ({
      person: { userId: person.userId, name: personName(person) },
      look: await lookAt(async () => await desk.account(person.userId).audit({ ...filter, limit: ROWS_OF_EACH })),
    })),
  );
  const rows = looks
    .flatMap(({ person, look }): ShownEntry[] =>
      look.kind === "silent" ? [] : look.seen.rows.map((row) => ({ ...row, person })),
    )
    .toSorted((one, other) => other.atMs - one.atMs)
    .slice(0, ROWS_A_PAGE);
  const silent = looks.filter(({ look }) => look.kind === "silent");
  const clients = await nameClients(
    rows.map(({ clientId }) => clientId),
    context,
  );
  const body = html`<p class="lead">
      The newest calls of the ${String(PEOPLE_LOOKED_AT)} people who were here last. A person’s whole log is on their
      own page: choose them under <a href="/admin/people">People</a>.
    </p>
    ${silent.map(({ person }) => html`<p class="note">The account of ${person.name} does not answer right now.</p>`)}
    ${filterForm("/admin/audit", url, clients)}
    ${auditTable({
      rows,
      clients,
      runs: [],
      baseOf: ({ person }) => `/admin/people/${person?.userId}`,
      hasPeople: true,
      empty: "No call is like that.",
    })}`;
  return everybodysPage(context, { at: "audit", title: "Audit", body });
}

function runHead(runId: string, runs: readonly SpentRun[], base: string): Html {
  const run = runs.find(({ id }) => id === runId);
  const what =
    run === undefined
      ? html`<code>${oneLine(runId, 60)}</code>, which is forgotten by now`
      : html`<strong>${oneLine(run.title, 120)}</strong> (${run.status ?? "under way"}, ${usd(run.spentNanoUsd)})`;
  return html`<p class="note">The calls of the run ${what}. <a href="${base}/audit">All calls</a></p>`;
}

function filterForm(action: string, { searchParams }: URL, clients: ReadonlyMap<string, string>): Html {
  const value = (name: (typeof FILTER_FIELDS)[number]): string => searchParams.get(name)?.trim() ?? "";
  const outcome = value("outcome");
  const client = value("client");
  const run = value("run");
  const choices: readonly (readonly [string, string])[] = [
    ["", "Any"],
    ...clients,
    ...(client === "" || clients.has(client) ? [] : ([[client, oneLine(client, 60)]] as const)),
  ];
  return html`<form class="filters" method="get" action="${action}" role="search" aria-label="Calls">
    ${run === "" ? undefined : html`<input type="hidden" name="run" value="${run}" />`}
    <div>
      <label for="text">Search</label
      ><input class="text" id="text" name="text" type="search" maxlength="200" value="${value("text")}" />
    </div>
    <div>
      <label for="tool">Tool, or <code>files_</code> for all</label
      ><input class="text" id="tool" name="tool" maxlength="100" value="${value("tool")}" />
    </div>
    <div><label for="client">Client</label>${select("client", choices, client)}</div>
    <div>
      <label for="outcome">Outcome</label
      >${select("outcome", [["", "Any"], ...OUTCOMES.map((code) => [code, code] as const)], outcome)}
    </div>
    <div>
      <label for="from">From</label><input class="text" id="from" name="from" type="date" value="${value("from")}" />
    </div>
    <div><label for="to">To</label><input class="text" id="to" name="to" type="date" value="${value("to")}" /></div>
    <div class="short acts"><button class="primary">Show</button><a class="button" href="${action}">All</a></div>
  </form>`;
}

function select(name: string, choices: readonly (readonly [value: string, words: string])[], chosen: string): Html {
  return html`<select class="text" id="${name}" name="${name}">
    ${choices.map(([value, words]) => html`<option value="${value}" ${value === chosen ? html`selected` : undefined}>${words}</option>`)}
  </select>`;
}

function further({ rows, cursor, searchedBackToMs }: AuditPage, url: URL): Html | undefined {
  if (cursor === undefined) return undefined;
  const words = searchedBackToMs === undefined ? "Older calls" : "Search on";
  return html`${
      searchedBackToMs === undefined
        ? undefined
        : html`<p class="hint">
            ${plural(rows.length, "call")} found so far; searched back to ${moment(searchedBackToMs)}.
          </p>`
    }
    <p><a class="button" href="?${queryFor(url, { cursor })}">${words}</a></p>`;
}

function exports(base: string, url: URL, formKey: string, isOwn: boolean): Html {
  const query = queryFor(url);
  return html`<h2>Take them along</h2>
    <p class="hint">Every call that fits the filter, as JSON lines.</p>
    <div class="acts">
      <a class="button" href="${base}/audit.jsonl${query === "" ? "" : `?${query}`}">Download</a>
      <form method="post" action="${base}/audit-export">
        <input type="hidden" name="key" value="${formKey}" />
        ${FILTER_FIELDS.map((name) => html`<input type="hidden" name="${name}" value="${url.searchParams.get(name) ?? ""}" />`)}
        <button>Keep ${isOwn ? undefined : "a copy"} in your files</button>
      </form>
    </div>`;
}
