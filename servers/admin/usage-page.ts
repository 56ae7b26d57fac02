import { type Html, html, oneLine } from "../../auth/html.ts";
import { type Figures, NO_FIGURES, sumOf } from "../account/figures.ts";
import { PRICES } from "../account/prices.ts";
import type { UsageRow } from "../account/usage-table.ts";
import type { EverybodysQuery } from "../directory/rollup-table.ts";
import { columnChart, shareBar } from "./chart.ts";
import { type CsvCell, csvResponse } from "./csv.ts";
import { bytes, count, duration, plural, usd } from "./format.ts";
import { type PageContext, type PersonContext, asked, everybodysPage, personPage } from "./page-context.ts";
import { PERIODS, type Period, daysIn, periodOf } from "./period.ts";
import { nameClients, namePeople } from "./names.ts";
import { table } from "./table.ts";

const OWN_DIMENSIONS = ["day", "server", "tool", "model", "client"] as const;
const DIMENSIONS = [...OWN_DIMENSIONS, "person"] as const;
type Dimension = (typeof DIMENSIONS)[number];
type OwnDimension = (typeof OWN_DIMENSIONS)[number];

const SHOWN_ROWS = 200;
/** Of a table for spreadsheets. */
const CSV_ROWS = 50_000;

interface UsageView {
  readonly period: Period;
  readonly by: Dimension;
  readonly dimensions: readonly Dimension[];
  readonly byDay: readonly UsageRow[];
  readonly rows: readonly UsageRow[];
  /** How keys read where they are ids. */
  readonly names: ReadonlyMap<string, string>;
  readonly base: string;
  readonly isBilled: boolean;
}

export async function ownUsage(context: PersonContext): Promise<Response> {
  return personPage(context, { at: "usage", title: "Usage and cost", body: usageBody(await readOwn(context)) });
}

export async function ownUsageCsv(context: PersonContext): Promise<Response> {
  return usageCsv(await readOwn(context));
}

export async function everybodysUsage(context: PageContext): Promise<Response> {
  return everybodysPage(context, {
    at: "usage",
    title: "Usage and cost",
    body: usageBody(await readAll(context, SHOWN_ROWS)),
  });
}

export async function everybodysUsageCsv(context: PageContext): Promise<Response> {
  return usageCsv(await readAll(context, CSV_ROWS));
}

async function readOwn(context: PersonContext): Promise<UsageView> {
  const { desk, whose } = context;
  const account = desk.account(whose.userId);
  const by: OwnDimension = OWN_DIMENSIONS.find((dimension) => dimension === asked(context, "by")) ?? "tool";
  const period = periodOf(asked(context, "days"), desk.now().getTime());
  const [byDay, found] = await Promise.all([account.usage({ ...period, by: "day" }), account.usage({ ...period, by })]);
  const rows = withCalls(found, by);
  const names = by === "client" ? await nameClients(keysOf(rows), context, whose.userId) : new Map<string, string>();
  return { period, by, dimensions: OWN_DIMENSIONS, byDay, rows, names, base: whose.base, isBilled: desk.isBilled };
}

async function readAll(context: PageContext, maxRows: number): Promise<UsageView> {
  const { desk } = context;
  const directory = desk.directory();
  const by = DIMENSIONS.find((dimension) => dimension === asked(context, "by")) ?? "person";
  const period = periodOf(asked(context, "days"), desk.now().getTime());
  const ask = async (dimension: EverybodysQuery["by"]): Promise<UsageRow[]> =>
    await directory.usage({ ...period, by: dimension }, maxRows);
  const [byDay, found] = await Promise.all([ask("day"), ask(by)]);
  const rows = withCalls(found, by);
  const names = await namesOf(by, keysOf(rows), context);
  return { period, by, dimensions: DIMENSIONS, byDay, rows, names, base: "/admin", isBilled: desk.isBilled };
}

/** Of a model those are calls that it was asked; in the other tables they are part of a sub-agent's work. */
function withCalls(rows: readonly UsageRow[], by: Dimension): readonly UsageRow[] {
  return by === "model" ? rows.map((row) => ({ ...row, calls: row.modelCalls })) : rows;
}

async function namesOf(by: Dimension, keys: readonly string[], context: PageContext): Promise<Map<string, string>> {
  if (by === "client") return await nameClients(keys, context);
  return by === "person" ? await namePeople(keys, context) : new Map();
}

function keysOf(rows: readonly UsageRow[]): string[] {
  return rows.map(({ key }) => key);
}

function usageBody(view: UsageView): Html {
  const { period, by, byDay, base, isBilled } = view;
  const total = byDay.reduce<Figures>(sumOf, NO_FIGURES);
  const everyDay = daysIn(period).map((day) => byDay.find(({ key }) => key === day) ?? { key: day, ...NO_FIGURES });
  const query = (days: number, dimension: Dimension): string => `${base}/usage?days=${days}&by=${dimension}`;
  const costs = isBilled || total.nanoUsd + total.estimatedNanoUsd > 0;
  return html`${tabs(
      "Period",
      PERIODS.map((days) => [query(days, by), `${days} days`, days === period.days]),
    )}
    ${figures(total)}
    ${
      costs
        ? columnChart({
            id: "cost-chart",
            title: "Cost by day",
            says: `From ${period.fromDay} to ${period.toDay} it came to ${usd(costOf(total))}, ${dearest(everyDay)}.`,
            columns: everyDay.map(({ key, nanoUsd, estimatedNanoUsd }) => ({
              label: key,
              measured: nanoUsd,
              estimated: estimatedNanoUsd,
            })),
            format: usd,
          })
        : undefined
    }
    ${columnChart({
      id: "calls-chart",
      title: "Calls by day",
      says: `From ${period.fromDay} to ${period.toDay} there were ${plural(total.calls, "call")}, ${total.failed} of which failed.`,
      columns: everyDay.map(({ key, calls }) => ({ label: key, counted: calls })),
      format: count,
    })}
    ${howItIsKnown(isBilled)}
    <h2 id="by">By ${by}</h2>
    ${tabs(
      "Divided by",
      view.dimensions.map((dimension) => [`${query(period.days, dimension)}#by`, `By ${dimension}`, dimension === by]),
    )}
    ${usageTable(by === "day" ? { ...view, rows: everyDay.toReversed() } : view, total)}
    ${
      view.rows.length < SHOWN_ROWS || base !== "/admin"
        ? undefined
        : html`<p class="hint">The first ${String(SHOWN_ROWS)} are here; all are in the CSV.</p>`
    }
    <p><a href="${base}/usage.csv?days=${period.days}&amp;by=${by}">This table as CSV</a></p>`;
}

function tabs(label: string, links: readonly (readonly [href: string, words: string, isCurrent: boolean])[]): Html {
  return html`<nav aria-label="${label}">
    <ul class="tabs">
      ${links.map(([href, words, isCurrent]) => html`<li><a href="${href}" ${isCurrent ? html`aria-current="true"` : undefined}>${words}</a></li>`)}
    </ul>
  </nav>`;
}

function figures(total: Figures): Html {
  return html`<dl class="figures">
    <div>
      <dt>Cost</dt>
      <dd>
        ${usd(costOf(total))}<small>${usd(total.nanoUsd)} measured, ${usd(total.estimatedNanoUsd)} estimated</small>
      </dd>
    </div>
    <div>
      <dt>Calls</dt>
      <dd>${count(total.calls)}<small>${count(total.failed)} failed</small></dd>
    </div>
    <div>
      <dt>Model tokens</dt>
      <dd>
        ${count(total.inputTokens + total.outputTokens)}<small
          >${count(total.inputTokens)} in, ${count(total.outputTokens)} out</small
        >
      </dd>
    </div>
    <div>
      <dt>Sandboxes ran</dt>
      <dd>${duration(total.sandboxMs)}</dd>
    </div>
    <div>
      <dt>Browsers ran</dt>
      <dd>${duration(total.browserMs)}</dd>
    </div>
  </dl>`;
}

function howItIsKnown(isBilled: boolean): Html {
  const known = html`<p class="hint">
    <span class="key measured" aria-hidden="true"></span>Measured: what model endpoints said that their calls cost.
    <span class="key estimated" aria-hidden="true"></span>Estimated: the price table of ${PRICES.plan.readOn} times what
    was counted (calls, the time that sandboxes and browsers ran, what is stored), and the prices of models whose
    endpoint says no cost. Days are UTC’s.
  </p>`;
  if (isBilled) return known;
  return html`${known}
    <p class="hint">
      This suite runs on a machine of its own, where nobody bills sandboxes and browsers: they cost $0.
    </p>`;
}

function usageTable({ by, rows, names }: UsageView, total: Figures): Html {
  const largest = Math.max(...rows.map(weightOf), 0);
  const ordered = by === "day" ? rows : rows.toSorted((one, other) => weightOf(other) - weightOf(one));
  const head = `${by.slice(0, 1).toUpperCase()}${by.slice(1)}`;
  const columns = ["Calls", "Failed", "Time", "Output", "Tokens", "Measured", "Estimated"];
  const cells = (row: Figures) => [
    count(row.calls),
    count(row.failed),
    duration(row.durationMs),
    bytes(row.outputBytes),
    count(row.inputTokens + row.outputTokens),
    usd(row.nanoUsd),
    usd(row.estimatedNanoUsd),
  ];
  return table({
    caption: `Usage by ${by}`,
    hasHiddenCaption: true,
    columns: [{ head }, { head: "Share" }, ...columns.map((name) => ({ head: name, isNumber: true }))],
    rows: [
      ...ordered.map((row) => ({
        cells: [oneLine(names.get(row.key) ?? row.key, 80), shareBar(weightOf(row), largest), ...cells(row)],
      })),
      ...(rows.length > 1 && by === "day" ? [{ cells: ["All days", "", ...cells(total)], className: "total" }] : []),
    ],
    empty: "Nothing in this time.",
  });
}

/** What a row is compared by: its cost, or, where nothing costs anything, its calls. */
function weightOf(row: Figures): number {
  return costOf(row) * 1e6 + row.calls;
}

function costOf({ nanoUsd, estimatedNanoUsd }: Figures): number {
  return nanoUsd + estimatedNanoUsd;
}

function dearest(days: readonly UsageRow[]): string {
  const most = days.reduce((one, other) => (costOf(other) > costOf(one) ? other : one));
  return costOf(most) === 0 ? "nothing on any day" : `the most on ${most.key} with ${usd(costOf(most))}`;
}

function usageCsv({ by, period, rows, names }: UsageView): Response {
  const head = [by, "name", "calls", "failed", "duration_ms", "output_bytes", "input_tokens", "output_tokens"];
  const lines = rows.map((row): CsvCell[] => [
    row.key,
    names.get(row.key) ?? row.key,
    row.calls,
    row.failed,
    row.durationMs,
    row.outputBytes,
    row.inputTokens,
    row.outputTokens,
    row.nanoUsd / 1e9,
    row.estimatedNanoUsd / 1e9,
  ]);
  return csvResponse(`pincer-usage-by-${by}-${period.fromDay}-${period.toDay}.csv`, [
    [...head, "usd_measured", "usd_estimated"],
    ...lines,
  ]);
}
