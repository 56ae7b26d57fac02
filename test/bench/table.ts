import type { Latencies } from "./load.ts";

export interface Row {
  readonly what: string;
  readonly measured?: string;
  readonly against?: string;
  /** What the target is about: a ratio, or the measured number itself. */
  readonly value?: number;
  readonly target?: number;
  readonly unit?: string;
}

const HEADINGS = ["", "Pincer", "against", "result", "target", ""];

/** Fixed columns for a terminal, with a mark where there is a target. */
export function renderTable(rows: readonly Row[]): string {
  const lines = [HEADINGS, ...rows.map(cells)];
  const widths = HEADINGS.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const rendered = lines.map((line) =>
    line
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join("  "),
  );
  return [rendered[0], "-".repeat(rendered[0]?.length ?? 0), ...rendered.slice(1)].join("\n");
}

export function misses({ value, target }: Row): boolean {
  return target !== undefined && !(value !== undefined && value <= target);
}

function cells(row: Row): string[] {
  const { what, measured = "", against = "", value, target, unit = "" } = row;
  const result = value === undefined ? "" : `${show(value)}${unit}`;
  const mark = target === undefined ? "" : misses(row) ? "MISSED" : "ok";
  return [what, measured, against, result, target === undefined ? "" : `≤ ${target}${unit}`, mark];
}

function show(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(2);
}

/** A row that compares two medians. */
export function versus(what: string, own: Latencies, other: Latencies): Row {
  return { what, measured: describe(own), against: describe(other), value: own.p50Ms / other.p50Ms, unit: "×" };
}

/** A median and, behind it, what one in twenty takes longer than. */
export function describe({ p50Ms, p95Ms }: Latencies): string {
  return `${p50Ms.toFixed(2)} (${p95Ms.toFixed(2)}) ms`;
}

export function of(measured: ReadonlyMap<string, Latencies>, name: string): Latencies {
  const found = measured.get(name);
  if (found === undefined) throw new Error(`${name} was not measured.`);
  return found;
}
