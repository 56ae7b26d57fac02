import { type Html, html } from "../../auth/html.ts";
import { type DeploymentUse, type MonthlyCost, monthlyCost } from "../account/monthly-cost.ts";
import { INSTANCE_SIZES, type InstanceType, PRICES } from "../account/prices.ts";
import { type PageContext, everybodysPage } from "./page-context.ts";
import { table } from "./table.ts";

/** What can be slid, from where to where, and where it stands at first. */
const SLIDERS = {
  hours: { words: "Hours a day that a sandbox runs", unit: " h", min: 0, max: 24, step: 0.5, first: 4 },
  people: { words: "People, with a sandbox each", unit: "", min: 1, max: 50, step: 1, first: 1 },
  cpu: { words: "Of that time its processors work", unit: " %", min: 0, max: 100, step: 5, first: 10 },
  browser: { words: "Browser hours a day, all together", unit: " h", min: 0, max: 48, step: 0.5, first: 1 },
  storage: { words: "Files, all together", unit: " GB", min: 0, max: 1_000, step: 10, first: 10 },
  calls: { words: "Calls a day, all together", unit: "", min: 0, max: 50_000, step: 500, first: 2_000 },
} as const;
type SliderName = keyof typeof SLIDERS;

const TYPES: readonly InstanceType[] = ["lite", "basic", "standard-1", "standard-2", "standard-3", "standard-4"];

/** What a deployment costs a month, asleep and at work, by the price table. */
export function costPage(context: PageContext): Response {
  const { url, desk } = context;
  const at = (name: SliderName): number => placeOf(name, url.searchParams.get(name));
  const type = TYPES.find((known) => known === url.searchParams.get("type")) ?? desk.instanceType;
  const use: DeploymentUse = {
    instanceType: type,
    hoursPerDay: at("hours"),
    sandboxes: at("people"),
    activeCpuShare: at("cpu") / 100,
    browserHoursPerDay: at("browser"),
    storageGb: at("storage"),
    callsPerDay: at("calls"),
  };
  const body = html`<p class="lead">
      What a month on Cloudflare comes to by the price table of ${PRICES.plan.readOn}, the plan’s $5 and what it
      includes taken into account. What models cost is not in it: they are billed by the token, and Usage and cost shows
      them.
    </p>
    ${
      desk.isBilled
        ? undefined
        : html`<p class="note">
            This suite runs on a machine of its own: nobody bills it. This is what it would cost deployed.
          </p>`
    }
    <div class="split">
      ${sliders(at, type)}
      <div id="cost-result">
        ${headline(use)} ${alwaysAwake(use)} ${byType(use, desk.isBilled ? desk.instanceType : undefined)}
        ${breakdown(monthlyCost(use))}
      </div>
    </div>
    ${priceTable()}`;
  return everybodysPage(context, { at: "cost", title: "What it costs", body });
}

function placeOf(name: SliderName, asked: string | null): number {
  const { min, max, first } = SLIDERS[name];
  const value = asked === null || asked === "" ? first : Number(asked);
  return Number.isFinite(value) ? Math.min(max, Math.max(min, value)) : first;
}

function sliders(at: (name: SliderName) => number, type: InstanceType): Html {
  return html`<form class="form" method="get" action="/admin/cost" data-shows="cost-result">
    <div>
      <label for="type">Size of each sandbox</label>
      <select class="text" id="type" name="type">
        ${TYPES.map((known) => html`<option value="${known}" ${known === type ? html`selected` : undefined}>${sizeWords(known)}</option>`)}
      </select>
    </div>
    ${slider("hours", at)} ${slider("people", at)} ${slider("cpu", at)} ${slider("browser", at)}
    ${slider("storage", at)} ${slider("calls", at)}
    <div class="acts"><button class="primary">Show</button></div>
  </form>`;
}

function slider(name: SliderName, at: (name: SliderName) => number): Html {
  const { words, unit, min, max, step } = SLIDERS[name];
  const value = at(name);
  return html`<div class="slider">
    <label for="${name}">${words}</label>
    <output for="${name}" data-unit="${unit}">${value}${unit}</output>
    <input type="range" id="${name}" name="${name}" min="${min}" max="${max}" step="${step}" value="${value}" />
  </div>`;
}

function sizeWords(type: InstanceType): string {
  const { vcpus, memoryGib, diskGb } = INSTANCE_SIZES[type];
  return `${type}: ${vcpus < 1 ? `1/${1 / vcpus}` : vcpus} vCPU, ${memoryGib} GiB, ${diskGb} GB disk`;
}

/** Nobody calls anything, and only what is stored costs. */
function asleep(use: DeploymentUse): DeploymentUse {
  return { ...use, hoursPerDay: 0, browserHoursPerDay: 0, callsPerDay: 0 };
}

function headline(use: DeploymentUse): Html {
  const figures = [
    ["Asleep", asleep(use)],
    ["An hour a day", { ...use, hoursPerDay: 1 }],
    [`${use.hoursPerDay} hours a day`, use],
    ["Around the clock", { ...use, hoursPerDay: 24 }],
  ] as const;
  return html`<dl class="figures">
    ${figures.map(
      ([words, of]) =>
        html`<div>
          <dt>${words}</dt>
          <dd>${dollars(monthlyCost(of).totalUsd)}<small>a month</small></dd>
        </div>`,
    )}
  </dl>`;
}

/** What keeps an agent at hand, and is easily left open. */
function alwaysAwake(use: DeploymentUse): Html {
  const alone = { ...asleep(use), storageGb: 0, sandboxes: 1, hoursPerDay: 24 };
  return html`<p class="hint">
    A live socket prevents sleep: while an agent’s page, a terminal or any other WebSocket is open and in use, its
    sandbox runs and is paid for. One ${use.instanceType} that is never let asleep comes to
    ${dollars(monthlyCost(alone).totalUsd)} a month, the plan included.
  </p>`;
}

function byType(use: DeploymentUse, present: InstanceType | undefined): Html {
  return table({
    caption: "A month, by the size of the sandboxes",
    columns: [
      { head: "Size" },
      { head: "Asleep", isNumber: true },
      { head: "An hour a day", isNumber: true },
      { head: `${use.hoursPerDay} h a day`, isNumber: true },
      { head: "Around the clock", isNumber: true },
    ],
    rows: TYPES.map((instanceType) => ({
      className: instanceType === use.instanceType ? "total" : "",
      cells: [
        html`${sizeWords(instanceType)}${instanceType === present ? html` <span class="state on">this deployment</span>` : undefined}`,
        ...[asleep(use), { ...use, hoursPerDay: 1 }, use, { ...use, hoursPerDay: 24 }].map((of) =>
          dollars(monthlyCost({ ...of, instanceType }).totalUsd),
        ),
      ],
    })),
    empty: "",
  });
}

function breakdown({ rows, totalUsd }: MonthlyCost): Html {
  return table({
    caption: "What that is made of",
    columns: [
      { head: "What" },
      { head: "In a month", isNumber: true },
      { head: "Included", isNumber: true },
      { head: "Comes to", isNumber: true },
    ],
    rows: [
      ...rows.map(({ what, quantity, unit, included, totalUsd: rowUsd }) => ({
        cells: [what, amount(quantity, unit), included === 0 ? "" : amount(included, unit), dollars(rowUsd)],
      })),
      { cells: ["All of it", "", "", dollars(totalUsd)], className: "total" },
    ],
    empty: "",
  });
}

function priceTable(): Html {
  return html`<h2>The price table</h2>
    ${table({
      caption: "What every estimate is made from; check it where a bill says otherwise",
      columns: [
        { head: "What" },
        { head: "Price", isNumber: true },
        { head: "The plan includes", isNumber: true },
        { head: "Said at" },
        { head: "Read on" },
      ],
      rows: Object.values(PRICES).map(({ what, usd: price, unit, included, source, readOn }) => ({
        cells: [
          what,
          `${exactly(price)} a ${unit}`,
          included === 0 ? "" : amount(included, unit),
          html`<a href="${source}" rel="noreferrer">${new URL(source).pathname}</a>`,
          readOn,
        ],
      })),
      empty: "",
    })}`;
}

function dollars(value: number): string {
  return `$${value.toFixed(2)}`;
}

/** A price as it is said, to the last digit. */
function exactly(value: number): string {
  return `$${value.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 6 })}`;
}

function amount(quantity: number, unit: string): string {
  const digits = quantity.toLocaleString("en-US", { maximumFractionDigits: 2 });
  return `${digits} ${quantity === 1 || unit.includes("illion") ? unit : `${unit}s`}`;
}
