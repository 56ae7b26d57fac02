/** What every page has: colours for light and dark, type, notes, visible focus. */
export const PAGE_STYLE = `
:root {
  color-scheme: light dark;
  --page: #f3f1ee;
  --card: #fff;
  --text: #1d1b19;
  --soft: #5f5a55;
  --line: #dcd7d1;
  --field: #857e77;
  --accent: #b23a12;
  --accent-hover: #8f2d0c;
  --on-accent: #fff;
  --warn: #fff4e0;
  --warn-line: #d48806;
  --bad: #fdecea;
  --bad-line: #c62828;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
  --mono: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #161413;
    --card: #211e1c;
    --text: #f1eeeb;
    --soft: #b3aca5;
    --line: #3a3532;
    --field: #8d857e;
    --accent: #ff8a5c;
    --accent-hover: #ffa27d;
    --on-accent: #2a1006;
    --warn: #33270f;
    --warn-line: #e0a030;
    --bad: #3a1a18;
    --bad-line: #f2766b;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 1rem/1.5 var(--sans); overflow-wrap: anywhere; }
h1 { margin: 0 0 0.5rem; font-size: 1.5rem; line-height: 1.25; text-wrap: balance; }
p { margin: 0.5rem 0; }
.soft, .hint { color: var(--soft); }
.hint { font-size: 0.9rem; }
code { font: 0.85rem/1.4 var(--mono); color: var(--soft); }
.note {
  margin: 1.25rem 0;
  padding: 0.75rem 1rem;
  border-radius: 10px;
  background: var(--warn);
  border-inline-start: 4px solid var(--warn-line);
}
.error { background: var(--bad); border-color: var(--bad-line); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
`;

/** The look of a page that is one card, as those of sign-in are, readable on a phone. */
export const CARD_STYLE = `
main {
  max-width: 34rem;
  margin: 2.5rem auto;
  padding: 1.75rem 2rem 2rem;
  background: var(--card);
  border: 1px solid var(--line);
  border-radius: 16px;
}
.brand { display: flex; align-items: center; gap: 0.5rem; margin: 0 0 1.25rem; font-weight: 650; color: var(--accent); }
dl {
  display: grid;
  grid-template-columns: auto 1fr;
  gap: 0.4rem 1.25rem;
  margin: 1.25rem 0;
  padding: 0.9rem 0;
  border-block: 1px solid var(--line);
}
dt { color: var(--soft); }
dd { margin: 0; font-weight: 550; }
fieldset { margin: 1.5rem 0 0; padding: 0; border: 0; min-width: 0; }
legend, .label { display: block; padding: 0; font-weight: 650; }
.code-label { margin-top: 1.4rem; }
.scope {
  display: flex;
  gap: 0.75rem;
  align-items: flex-start;
  padding: 0.55rem 0;
  border-bottom: 1px solid var(--line);
  cursor: pointer;
}
.scope:last-of-type { border-bottom: 0; }
.scope input { flex: none; width: 1.25rem; height: 1.25rem; margin: 0.15rem 0 0; accent-color: var(--accent); }
.scope span { display: block; }
.code {
  width: 100%;
  max-width: 18rem;
  margin-top: 0.4rem;
  padding: 0.65rem 0.8rem;
  font: 1.25rem var(--mono);
  letter-spacing: 0.08em;
  text-transform: uppercase;
  color: inherit;
  background: transparent;
  border: 1.5px solid var(--field);
  border-radius: 10px;
}
.actions { display: flex; flex-wrap: wrap; gap: 0.75rem; margin-top: 1.75rem; }
button {
  flex: 1 1 9rem;
  min-height: 3rem;
  padding: 0.6rem 1.25rem;
  font: inherit;
  font-weight: 650;
  color: inherit;
  background: transparent;
  border: 1.5px solid var(--field);
  border-radius: 10px;
  cursor: pointer;
}
button:hover { border-color: var(--text); }
button.primary { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
button.primary:hover { background: var(--accent-hover); border-color: var(--accent-hover); }
@media (max-width: 36rem) {
  main { margin: 0; min-height: 100vh; border: 0; border-radius: 0; padding: 1.25rem 1.15rem 2rem; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: 0.5rem; }
}
@media (forced-colors: active) {
  button.primary { border-width: 3px; }
}
`;
