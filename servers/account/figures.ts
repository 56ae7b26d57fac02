import * as z from "zod";

/** What is added up of calls and sessions. All are whole numbers, so that sums are the same in any order. */
const FIGURES = [
  "calls",
  "failed",
  "durationMs",
  "outputBytes",
  /** Said by whoever asks for it, in billionths of a US dollar. */
  "nanoUsd",
  /** By the price table (prices.ts), beside `nanoUsd` and never for the same thing. */
  "estimatedNanoUsd",
  "inputTokens",
  "outputTokens",
  "modelCalls",
  "sandboxMs",
  "browserMs",
] as const;

export type Figures = Readonly<Record<(typeof FIGURES)[number], number>>;

export const NO_FIGURES: Figures = {
  calls: 0,
  failed: 0,
  durationMs: 0,
  outputBytes: 0,
  nanoUsd: 0,
  estimatedNanoUsd: 0,
  inputTokens: 0,
  outputTokens: 0,
  modelCalls: 0,
  sandboxMs: 0,
  browserMs: 0,
};

const figuresRecord = z.record(z.string(), z.unknown());
const figure = z.number();

/** A figure's column in any table. */
function columnOf(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

const COLUMNS = FIGURES.map(columnOf);

export const FIGURE_COLUMNS = COLUMNS.join(", ");
export const FIGURE_SCHEMA = COLUMNS.map((column) => `${column} INTEGER NOT NULL`).join(", ");
/** In the update of an upsert. */
export const ADD_FIGURES = COLUMNS.map((column) => `${column} = ${column} + excluded.${column}`).join(", ");
export const SUM_FIGURES = COLUMNS.map((column) => `coalesce(sum(${column}), 0) AS ${column}`).join(", ");
/** Out of a `value` of JSON. */
export const FIGURES_FROM_JSON = FIGURES.map((name) => `value->>'$.${name}'`).join(", ");

export function readFigures(row: unknown): Figures {
  const record = figuresRecord.parse(row);
  const read = (name: (typeof FIGURES)[number]): number => figure.parse(record[columnOf(name)]);
  return {
    calls: read("calls"),
    failed: read("failed"),
    durationMs: read("durationMs"),
    outputBytes: read("outputBytes"),
    nanoUsd: read("nanoUsd"),
    estimatedNanoUsd: read("estimatedNanoUsd"),
    inputTokens: read("inputTokens"),
    outputTokens: read("outputTokens"),
    modelCalls: read("modelCalls"),
    sandboxMs: read("sandboxMs"),
    browserMs: read("browserMs"),
  };
}

export function sumOf(a: Figures, b: Figures): Figures {
  return {
    calls: a.calls + b.calls,
    failed: a.failed + b.failed,
    durationMs: a.durationMs + b.durationMs,
    outputBytes: a.outputBytes + b.outputBytes,
    nanoUsd: a.nanoUsd + b.nanoUsd,
    estimatedNanoUsd: a.estimatedNanoUsd + b.estimatedNanoUsd,
    inputTokens: a.inputTokens + b.inputTokens,
    outputTokens: a.outputTokens + b.outputTokens,
    modelCalls: a.modelCalls + b.modelCalls,
    sandboxMs: a.sandboxMs + b.sandboxMs,
    browserMs: a.browserMs + b.browserMs,
  };
}

/** `2026-11-28`, UTC. */
export function dayOf(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 10);
}
