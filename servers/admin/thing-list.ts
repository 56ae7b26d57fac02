import type { Things } from "../account/account-books.ts";
import type { Handle } from "../account/handle-table.ts";
import type { SpentRun } from "../account/run-table.ts";
import type { Thing } from "./look.ts";

/** The latest of each kind; who has more sees the rest in the audit. */
const SHOWN_HANDLES = 50;
const SHOWN_RUNS = 60;
/** Of runs that have ended. */
const SHOWN_ENDED_RUNS = 10;

/** What an overview shows of a person, those used last first; a run stands below the one that started it. */
export function listThings({ handles, runs }: Things, nowMs: number): readonly Thing[] {
  return [
    ...ofKind(handles, "sandbox").map((handle): Thing => ({ kind: "sandbox", handle })),
    ...ofKind(handles, "browser").map((handle): Thing => ({ kind: "browser", handle })),
    ...nested(shownRuns(runs, nowMs)).map((run): Thing => ({ kind: "run", run })),
  ];
}

export function isUnderWay({ status, endsByMs }: SpentRun, nowMs: number): boolean {
  return status === undefined && endsByMs > nowMs;
}

/** Finds a thing again, on the page too: names are letters, digits, `-` and `_`. */
export function thingId(thing: Thing): string {
  return thing.kind === "run" ? thing.run.id : `${thing.kind}-${thing.handle.name}`;
}

function ofKind(handles: readonly Handle[], kind: Handle["kind"]): Handle[] {
  return handles.filter((handle) => handle.kind === kind).slice(0, SHOWN_HANDLES);
}

function shownRuns(runs: readonly SpentRun[], nowMs: number): SpentRun[] {
  const going = runs.filter((run) => isUnderWay(run, nowMs));
  const ended = runs.filter((run) => !isUnderWay(run, nowMs));
  return [...going, ...ended.slice(0, SHOWN_ENDED_RUNS)].slice(0, SHOWN_RUNS);
}

function nested(runs: readonly SpentRun[]): SpentRun[] {
  const below = (parentId: string): SpentRun[] =>
    runs.filter((run) => run.parentId === parentId).flatMap((run) => [run, ...below(run.id)]);
  const isThere = (id: string | undefined): boolean => runs.some((run) => run.id === id);
  return runs.filter(({ parentId }) => !isThere(parentId)).flatMap((run) => [run, ...below(run.id)]);
}
