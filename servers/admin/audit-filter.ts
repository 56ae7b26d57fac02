import type { AuditFilter } from "../account/audit-query.ts";
import { DAY_MS } from "./format.ts";

/** The fields of the filter's form, which are the page's query as well. */
export const FILTER_FIELDS = ["tool", "client", "outcome", "text", "from", "to", "run"] as const;

/** What a page's query asks for; what makes no sense in it is left out. */
export function filterIn({ searchParams }: URL): AuditFilter {
  const field = (name: (typeof FILTER_FIELDS)[number]): string | undefined =>
    searchParams.get(name)?.trim().slice(0, 200) || undefined;
  const [tool, clientId, outcome, text, runId] = [
    field("tool"),
    field("client"),
    field("outcome"),
    field("text"),
    field("run"),
  ];
  const [fromMs, toMs] = [startOf(field("from")), startOf(field("to"))];
  return {
    ...(tool === undefined ? {} : { tool }),
    ...(clientId === undefined ? {} : { clientId }),
    ...(outcome === undefined ? {} : { outcome }),
    ...(text === undefined ? {} : { text }),
    ...(runId === undefined ? {} : { runId }),
    ...(fromMs === undefined ? {} : { fromMs }),
    // The last day is part of what is asked for.
    ...(toMs === undefined ? {} : { toMs: toMs + DAY_MS }),
  };
}

/** The query that asks for the same, beside what is given. */
export function queryFor({ searchParams }: URL, beside: Readonly<Record<string, string>> = {}): string {
  const kept = FILTER_FIELDS.flatMap((name): [string, string][] => {
    const value = searchParams.get(name)?.trim() ?? "";
    return value === "" ? [] : [[name, value]];
  });
  return new URLSearchParams([...kept, ...Object.entries(beside)]).toString();
}

function startOf(day: string | undefined): number | undefined {
  if (day === undefined || !/^\d{4}-\d{2}-\d{2}$/.test(day)) return undefined;
  const atMs = Date.parse(`${day}T00:00:00Z`);
  return Number.isNaN(atMs) ? undefined : atMs;
}
