import { PAGE_STYLE } from "../../auth/page-style.ts";

/** The look of the pages behind the sign-in: dense, calm, the same on a phone, in light and in dark. */
export const DESK_STYLE = `${PAGE_STYLE}
:root { --good: #1c6b3a; --measured: #b23a12; --estimated: #dcae99; --track: #e8e4df; --radius: 8px; }
@media (prefers-color-scheme: dark) {
  :root { --good: #7fd6a0; --measured: #ff8a5c; --estimated: #7d4f3c; --track: #3a3532; }
}
body { font-size: 0.9375rem; }
a { color: var(--accent); }
a:hover { color: var(--accent-hover); }
.skip { position: absolute; inset-inline-start: 1rem; top: -4rem; z-index: 1; padding: 0.5rem 1rem; background: var(--card); }
.skip:focus { top: 0.5rem; }
.bar { background: var(--card); border-bottom: 1px solid var(--line); }
.bar > div, main { max-width: 76rem; margin: 0 auto; padding-inline: 1.5rem; }
.bar .top { display: flex; flex-wrap: wrap; align-items: center; gap: 0.25rem 1.25rem; padding-top: 0.6rem; }
.brand { display: flex; align-items: center; gap: 0.5rem; margin: 0; font-weight: 650; color: var(--accent); }
.who { display: flex; flex-wrap: wrap; align-items: center; gap: 0.25rem 0.75rem; margin: 0 0 0 auto; font-size: 0.875rem; color: var(--soft); }
.who form { margin: 0; }
nav ul { display: flex; flex-wrap: wrap; gap: 0 0.25rem; margin: 0; padding: 0; list-style: none; }
.pages ul { margin-inline: -0.7rem; }
.pages a { display: block; padding: 0.5rem 0.7rem 0.45rem; color: var(--text); text-decoration: none; border-bottom: 3px solid transparent; }
.pages a:hover { color: var(--accent); }
.pages a[aria-current] { font-weight: 650; border-color: var(--accent); }
.areas a { display: block; padding: 0.15rem 0.8rem; color: var(--text); text-decoration: none; border: 1px solid transparent; border-radius: 999px; }
.areas a[aria-current] { font-weight: 650; border-color: var(--line); background: var(--page); }
.crumbs { margin: 0 0 0.25rem; font-size: 0.875rem; color: var(--soft); }
main { padding-block: 1.5rem 4rem; }
.head { display: flex; flex-wrap: wrap; align-items: baseline; justify-content: space-between; gap: 0 1rem; }
h1 { font-size: 1.45rem; }
#live:not(:empty)::before { content: ""; display: inline-block; width: 0.55em; height: 0.55em; margin-inline-end: 0.45em; border-radius: 50%; background: var(--good); }
#live { margin: 0; }
h2 { margin: 2rem 0 0.6rem; font-size: 1.1rem; }
h3 { margin: 0; font-size: 1rem; }
h2 .hint, h3 .hint { font-weight: 400; }
.lead { max-width: 46rem; color: var(--soft); }
time, .nowrap { white-space: nowrap; }
.unseen { position: absolute; width: 1px; height: 1px; margin: 0; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

button, .button {
  display: inline-flex;
  align-items: center;
  justify-content: center;
  min-height: 2.1rem;
  padding: 0.3rem 0.8rem;
  font: inherit;
  font-size: 0.875rem;
  font-weight: 550;
  line-height: 1.35;
  color: var(--text);
  text-decoration: none;
  background: var(--card);
  border: 1px solid var(--field);
  border-radius: var(--radius);
  cursor: pointer;
}
button:hover, .button:hover { color: var(--text); border-color: var(--text); }
button.primary { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
button.primary:hover { background: var(--accent-hover); border-color: var(--accent-hover); }
button.grave, .button.grave { color: var(--bad-line); border-color: var(--bad-line); }
button.quiet { padding-inline: 0.5rem; border-color: transparent; background: none; color: var(--accent); }
.acts { display: flex; flex-wrap: wrap; gap: 0.4rem; }
.acts form { margin: 0; }

.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: 0.75rem; margin: 1rem 0; padding: 0; }
.figures > div { padding: 0.7rem 0.9rem; background: var(--card); border: 1px solid var(--line); border-radius: var(--radius); }
.figures dt { font-size: 0.8125rem; color: var(--soft); }
.figures dd { margin: 0.1rem 0 0; font-size: 1.3rem; font-weight: 650; font-variant-numeric: tabular-nums; }
.figures dd small { display: block; font-size: 0.8125rem; font-weight: 400; color: var(--soft); }

.things { display: grid; gap: 0.75rem; }
.things:has(> *) + .none { display: none; }
.thing { padding: 0.8rem 1rem; background: var(--card); border: 1px solid var(--line); border-radius: var(--radius); }
.thing > header { display: flex; flex-wrap: wrap; align-items: center; gap: 0.4rem 0.75rem; }
.thing > header .acts { margin-inline-start: auto; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: 0.5rem 1.25rem; margin: 0.7rem 0 0; }
.facts dt { font-size: 0.8125rem; color: var(--soft); }
.facts dd { margin: 0; font-variant-numeric: tabular-nums; }
.facts dd ul { margin: 0; padding-inline-start: 1.1rem; }
.facts .long { grid-column: span 2; }
.thing details { margin-top: 0.7rem; padding-top: 0.5rem; border-top: 1px solid var(--line); }
summary { font-weight: 600; cursor: pointer; }
.state { white-space: nowrap; padding: 0.05rem 0.55rem; font-size: 0.8125rem; font-weight: 600; border: 1px solid var(--line); border-radius: 999px; background: var(--page); }
.state.on { color: var(--good); border-color: currentColor; }
.state.look { border-color: var(--warn-line); background: var(--warn); }
.state.bad { color: var(--bad-line); border-color: currentColor; }

table { width: 100%; margin: 0.5rem 0 1rem; border-collapse: collapse; background: var(--card); border: 1px solid var(--line); font-size: 0.875rem; }
caption { padding: 0.25rem 0; text-align: start; color: var(--soft); }
th, td { padding: 0.4rem 0.6rem; text-align: start; vertical-align: baseline; border-top: 1px solid var(--line); }
thead th { font-size: 0.8125rem; color: var(--soft); background: var(--page); white-space: nowrap; }
tbody th { font-weight: 500; }
th .soft { font-weight: 400; }
.number { text-align: end; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.total > * { font-weight: 650; border-top-width: 2px; }
tr.child > th { padding-inline-start: 1.75rem; }
tr.child > th::before { content: "↳ "; color: var(--soft); }
td .share { display: block; width: 8rem; height: 0.6rem; }
.share rect, .meter .fill { fill: var(--measured); }
.meter .full { fill: var(--bad-line); }
.meter .track { fill: var(--track); }
.meter { display: flex; flex-wrap: wrap; align-items: center; gap: 0 0.6rem; }
.meter svg { flex: none; width: 6rem; height: 0.5rem; }
td code, th code { white-space: nowrap; }
td button { overflow-wrap: normal; }
td pre { margin: 0.3rem 0 0; white-space: pre-wrap; overflow-wrap: anywhere; }
code.command { white-space: normal; }
tbody th:has(time) { white-space: nowrap; }
code.digest { font-size: 0.8125rem; }

.chart { margin: 1rem 0; padding: 0.8rem 1rem; background: var(--card); border: 1px solid var(--line); border-radius: var(--radius); }
.chart figcaption { font-weight: 600; }
.chart-top, .chart-feet { display: flex; justify-content: space-between; font-size: 0.8125rem; color: var(--soft); font-variant-numeric: tabular-nums; }
.chart-top { border-bottom: 1px dashed var(--line); }
.chart-feet { padding-top: 0.2rem; border-top: 1px solid var(--field); }
.chart svg { display: block; width: 100%; height: 9rem; }
.counted { fill: var(--field); }
.measured { fill: var(--measured); }
.estimated { fill: var(--estimated); }
.key { display: inline-block; width: 0.8em; height: 0.8em; margin-inline: 0 0.35em; border-radius: 2px; vertical-align: baseline; }
.key.measured { background: var(--measured); }
.key.estimated { background: var(--estimated); }

.filters { display: flex; flex-wrap: wrap; align-items: end; gap: 0.75rem; margin: 1rem 0; padding: 0.8rem 1rem; background: var(--card); border: 1px solid var(--line); border-radius: var(--radius); }
.filters > div { flex: 1 1 7.5rem; min-width: 0; }
.filters .short { flex: 0 0 auto; }
label, .label { display: block; font-size: 0.8125rem; font-weight: 600; }
input, select { accent-color: var(--accent); }
.text {
  display: block;
  width: 100%;
  min-height: 2.1rem;
  margin-top: 0.2rem;
  padding: 0.3rem 0.6rem;
  font: inherit;
  font-size: 0.875rem;
  color: inherit;
  background: var(--card);
  border: 1px solid var(--field);
  border-radius: var(--radius);
}
.tabs { display: flex; flex-wrap: wrap; gap: 0.25rem; margin: 0.75rem 0; padding: 0; list-style: none; }
.tabs a { display: block; padding: 0.25rem 0.7rem; border: 1px solid transparent; border-radius: var(--radius); text-decoration: none; }
.tabs a:hover { border-color: var(--line); }
.tabs [aria-current] { font-weight: 600; color: var(--text); background: var(--card); border-color: var(--line); }
.form { max-width: 40rem; padding: 0.9rem 1rem; background: var(--card); border: 1px solid var(--line); border-radius: var(--radius); }
.form > p:first-of-type { margin-top: 0; }
.form .text { max-width: 22rem; margin-bottom: 0.8rem; }
.roles { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: 1rem 1.5rem; }
.roles .form { margin-top: 0.5rem; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: 0 1.25rem; align-items: end; }
.form .grid .text { max-width: none; }
.form .acts { margin-top: 0.5rem; }
fieldset { margin: 0.5rem 0 0.75rem; padding: 0; border: 0; min-width: 0; }
legend { padding: 0; font-weight: 600; }
.scope { display: flex; gap: 0.6rem; align-items: flex-start; padding: 0.4rem 0; font-size: inherit; font-weight: 400; border-bottom: 1px solid var(--line); cursor: pointer; }
.scope code { display: block; }
.scope input { flex: none; width: 1.15rem; height: 1.15rem; margin: 0.1rem 0 0; }
.secret { display: block; margin-top: 0.5rem; padding: 0.6rem; color: var(--text); background: var(--card); user-select: all; }
.slider { display: grid; grid-template-columns: 1fr auto; gap: 0 0.75rem; padding: 0.35rem 0; }
.slider input { grid-column: 1 / -1; width: 100%; margin: 0.25rem 0 0; }
.slider output { font-variant-numeric: tabular-nums; }
.split { display: grid; grid-template-columns: minmax(16rem, 1fr) minmax(0, 2fr); gap: 0 1.5rem; align-items: start; }
.split .figures, .split .form { margin-top: 0; }

@media (max-width: 44rem) {
  .bar > div, main { padding-inline: 1rem; }
  main { padding-block: 1rem 3rem; }
  .who { margin: 0; width: 100%; }
  .split { grid-template-columns: minmax(0, 1fr); }
  .thing > header .acts { margin: 0; width: 100%; }
  button, .button { min-height: 2.75rem; padding-block: 0.5rem; }
  .text { min-height: 2.75rem; }
  .pages a { padding-block: 0.65rem; }
  .areas a { padding-block: 0.6rem; }
  /* Rows become stacks: each figure beside its column's name. */
  table { border: 0; background: none; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  table, caption, tbody, tr { display: block; }
  tbody tr { margin-bottom: 0.6rem; padding: 0.5rem 0.75rem; background: var(--card); border: 1px solid var(--line); border-radius: var(--radius); }
  tbody th, tbody td { display: flex; justify-content: space-between; gap: 1rem; padding: 0.15rem 0; border: 0; text-align: end; white-space: normal; }
  tbody th { justify-content: flex-start; text-align: start; font-weight: 650; }
  tbody td::before { content: attr(data-head); flex: none; color: var(--soft); text-align: start; }
  td code { white-space: normal; }
  tbody td:empty { display: none; }
  tbody .said { flex: 1; text-align: start; }
  td .share { width: 6rem; }
  .tabs a { padding-block: 0.6rem; }
  tr.child { margin-inline-start: 1rem; }
  tr.child > th { padding-inline-start: 0; }
}
@media (forced-colors: active) {
  button.primary { border-width: 3px; }
  .share rect, .meter .fill, .measured { fill: CanvasText; }
}
`;
