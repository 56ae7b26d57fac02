import { html } from "../../auth/html.ts";
import { exactMoment } from "./format.ts";
import { namePeople } from "./names.ts";
import { type PageContext, everybodysPage } from "./page-context.ts";
import { table } from "./table.ts";

const SHOWN_ERRORS = 50;

/** What broke lately, by the references that callers were told. */
export async function healthPage(context: PageContext): Promise<Response> {
  const errors = await context.desk.directory().errors(SHOWN_ERRORS);
  const names = await namePeople([...new Set(errors.map(({ userId }) => userId))], context);
  const body = html`<h2>What broke last</h2>
    ${table({
      caption: "Calls that broke inside Pincer; the Worker’s log says more under the reference",
      columns: [{ head: "Time (UTC)" }, { head: "Reference" }, { head: "Tool" }, { head: "Person" }],
      rows: errors.map(({ atMs, reference, tool, userId }) => ({
        cells: [
          exactMoment(atMs),
          html`<code>${reference}</code>`,
          html`<code>${tool}</code>`,
          html`<a href="/admin/people/${userId}">${names.get(userId) ?? userId}</a>`,
        ],
      })),
      empty: "Nothing has broken.",
    })}`;
  return everybodysPage(context, { at: "health", title: "Health", body });
}
