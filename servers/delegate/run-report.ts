import type { Budget, Ledger } from "./budget.ts";
import { type KeptFile, type RunRecord, type RunStatus, hasEnded } from "./transcript.ts";

/** Where a run stands. */
export interface RunReport {
  /** Grows with every change. */
  readonly version: number;
  readonly runId: string;
  readonly status: RunStatus;
  readonly activity: string;
  readonly startedAtMs: number;
  readonly endedAtMs?: number;
  readonly result?: string;
  /** Whether `result` is JSON that fits the schema that was asked for. */
  readonly isStructured: boolean;
  /** `code: sentence`. */
  readonly error?: string;
  /** What it asks its caller, while it waits for the answer. */
  readonly question?: string;
  readonly turns: number;
  readonly modelsUsed: readonly string[];
  readonly budget: Budget;
  readonly ledger: Ledger;
  /** What the budget was charged for calls whose use nobody reported. */
  readonly unreportedTokens: number;
  readonly toolCalls: Readonly<Record<string, number>>;
  readonly artifacts: readonly KeptFile[];
  readonly notes: readonly string[];
  /** The whole conversation; a moment after the end at the earliest. */
  readonly conversation?: KeptFile;
}

export function describeRun(run: RunRecord): RunReport {
  const { version, runId, status, activity, startedAtMs, turns, modelsUsed, ledger, toolCalls, artifacts, notes } = run;
  const { budget, endedAtMs, result, error, question, conversation } = run;
  return {
    version,
    runId,
    status,
    activity,
    startedAtMs,
    isStructured: run.outputSchema !== undefined && status === "completed",
    turns,
    modelsUsed,
    budget,
    ledger,
    unreportedTokens: unreportedTokens(run),
    toolCalls,
    artifacts,
    notes,
    ...(endedAtMs === undefined ? {} : { endedAtMs }),
    ...(result === undefined ? {} : { result }),
    ...(error === undefined ? {} : { error }),
    ...(question === undefined || status !== "input_required" ? {} : { question }),
    ...(conversation === undefined ? {} : { conversation }),
  };
}

function unreportedTokens(run: RunRecord): number {
  // While the model works, its reservation is open rather than unreported.
  if (!hasEnded(run) && run.inFlight === "model") return 0;
  const { charged, inputTokens, outputTokens, children } = run.ledger;
  const setAside = Object.values(children).reduce((sum, { tokens }) => sum + tokens, 0);
  return charged.tokens - inputTokens - outputTokens - setAside;
}
