import { html } from "../../auth/html.ts";
import { ago, count, moment, usd } from "./format.ts";
import { personName } from "./names.ts";
import { type PageContext, asked, everybodysPage } from "./page-context.ts";
import { table } from "./table.ts";

const PEOPLE_A_PAGE = 50;

/** Everybody who has signed in or worked, those seen last first. */
export async function peoplePage(context: PageContext): Promise<Response> {
  const { desk, url } = context;
  const query = asked(context, "query");
  const cursor = url.searchParams.get("cursor");
  const { people, cursor: next } = await desk.directory().people({
    limit: PEOPLE_A_PAGE,
    ...(query === undefined ? {} : { query }),
    ...(cursor === null ? {} : { cursor }),
  });
  const nowMs = desk.now().getTime();
  const further = new URLSearchParams({ ...(query === undefined ? {} : { query }), cursor: next ?? "" });
  const body = html`<form class="filters" method="get" action="/admin/people" role="search" aria-label="People">
      <div>
        <label for="query">Part of a name, or how an id begins</label>
        <input class="text" id="query" name="query" type="search" maxlength="200" value="${query ?? ""}" />
      </div>
      <div class="short acts"><button class="primary">Find</button><a class="button" href="/admin/people">All</a></div>
    </form>
    ${table({
      caption: "People, those seen last first; figures are of this month (UTC)",
      columns: [
        { head: "Person" },
        { head: "Role" },
        { head: "Last seen" },
        { head: "Since" },
        { head: "Calls", isNumber: true },
        { head: "Failed", isNumber: true },
        { head: "Cost", isNumber: true },
        { head: "Rules" },
      ],
      rows: people.map((person) => ({
        cells: [
          html`<a href="/admin/people/${person.userId}">${personName(person)}</a>`,
          person.role,
          ago(person.lastSeenMs, nowMs),
          moment(person.firstSeenMs),
          count(person.month.calls),
          count(person.month.failed),
          usd(person.month.nanoUsd + person.month.estimatedNanoUsd),
          html`${person.isPaused ? html`<span class="state bad">paused</span>` : undefined}
          ${person.hasLimits ? html`<span class="state">own limits</span>` : undefined}`,
        ],
      })),
      empty: query === undefined ? "Nobody has signed in yet." : "Nobody is called that.",
    })}
    ${next === undefined ? undefined : html`<p><a class="button" href="/admin/people?${further.toString()}">More people</a></p>`}`;
  return everybodysPage(context, { at: "people", title: "People", body });
}
