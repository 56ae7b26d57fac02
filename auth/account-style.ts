/** The look of the pages of one's account, beyond that of every page. */
export const ACCOUNT_STYLE = `
h2 { margin: 2rem 0 0.25rem; font-size: 1.15rem; }
h3 { margin: 0; font-size: 1rem; }
.top { display: flex; flex-wrap: wrap; gap: 0.5rem 1rem; align-items: center; }
.top p { flex: 1 1 14rem; }
a { color: var(--accent); }
time { white-space: nowrap; }
.held { margin: 0.75rem 0 0; padding: 0; list-style: none; }
.held > li { padding: 0.9rem 0; border-top: 1px solid var(--line); }
.held dl { margin: 0.4rem 0 0.75rem; padding: 0; border: 0; }
.held dd { font-weight: 400; }
.held dd ul { margin: 0; padding-inline-start: 1.1rem; }
button.small { min-height: 2.75rem; padding: 0.4rem 1rem; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.text {
  display: block;
  width: 100%;
  max-width: 22rem;
  min-height: 2.75rem;
  margin: 0.35rem 0 1rem;
  padding: 0.5rem 0.7rem;
  font: inherit;
  color: inherit;
  background: var(--card);
  border: 1.5px solid var(--field);
  border-radius: 10px;
}
.secret { display: block; margin-top: 0.5rem; padding: 0.6rem; color: var(--text); background: var(--card); user-select: all; }
.person { margin-top: 2.5rem; padding-top: 0.5rem; border-top: 3px solid var(--line); }
`;
