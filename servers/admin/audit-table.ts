import { type Html, html, oneLine } from "../../auth/html.ts";
import type { AuditEntry } from "../account/audit-query.ts";
import type { SpentRun } from "../account/run-table.ts";
import { bytes, duration, exactMoment, usd } from "./format.ts";
import { type TableRow, table } from "./table.ts";

/** A call, and whose it was where several people's are shown. */
export interface ShownEntry extends AuditEntry {
  readonly person?: { readonly userId: string; readonly name: string };
}

interface AuditTableView {
  readonly rows: readonly ShownEntry[];
  readonly clients: ReadonlyMap<string, string>;
  readonly runs: readonly SpentRun[];
  /** Where the audit of a call's person is. */
  readonly baseOf: (entry: ShownEntry) => string;
  readonly hasPeople: boolean;
  readonly empty: string;
}

/** Calls, the newest first. Those of a run hang together, where the newest of them is. */
export function auditTable(view: AuditTableView): Html {
  const person = view.hasPeople ? [{ head: "Person" }] : [];
  return table({
    caption: "Calls, the newest first; times are UTC",
    columns: [
      { head: "Time" },
      ...person,
      { head: "Tool" },
      { head: "Client" },
      { head: "Outcome" },
      { head: "Took", isNumber: true },
      { head: "Cost", isNumber: true },
      { head: "Size", isNumber: true },
      { head: "Input" },
      { head: "Run" },
    ],
    rows: hangTogether(view.rows).map((entry) => rowOf(entry, view)),
    empty: view.empty,
  });
}

function hangTogether(rows: readonly ShownEntry[]): ShownEntry[] {
  const ofRun = Map.groupBy(rows, ({ parentRunId, id }) => parentRunId ?? id);
  return [...ofRun.values()].flat();
}

function rowOf(entry: ShownEntry, { clients, runs, baseOf, hasPeople }: AuditTableView): TableRow {
  const { atMs, tool, clientId, outcome, durationMs, nanoUsd, outputBytes, inputDigest, parentRunId, person } = entry;
  const whose = person === undefined ? "" : html`<a href="/admin/people/${person.userId}">${person.name}</a>`;
  return {
    className: parentRunId === undefined ? "" : "child",
    cells: [
      exactMoment(atMs),
      ...(hasPeople ? [whose] : []),
      html`<code>${oneLine(tool, 60)}</code>`,
      clients.get(clientId) ?? oneLine(clientId, 60),
      outcome === "ok" ? "ok" : html`<span class="state bad">${oneLine(outcome, 40)}</span>`,
      duration(durationMs),
      usd(nanoUsd),
      bytes(outputBytes),
      html`<code class="digest" title="SHA-256 of the input: ${inputDigest}">${inputDigest.slice(0, 8)}</code>`,
      parentRunId === undefined ? "" : runLink(parentRunId, baseOf(entry), runs),
    ],
  };
}

function runLink(runId: string, base: string, runs: readonly SpentRun[]): Html {
  const title = runs.find(({ id }) => id === runId)?.title;
  const query = new URLSearchParams({ run: runId }).toString();
  return html`<a href="${base}/audit?${query}">${title === undefined ? oneLine(runId, 32) : oneLine(title, 32)}</a>`;
}
