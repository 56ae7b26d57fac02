import type { Caller } from "../../auth/caller.ts";
import type { Tool } from "../core/tool.ts";
import { type Budget, EMPTY_LEDGER } from "./budget.ts";
import { schemaProblem, uncheckedNote } from "./structured-result.ts";
import type { RunRecord, SandboxMode } from "./transcript.ts";

/** What a run is started with. */
export interface RunStart {
  readonly runId: string;
  readonly caller: Caller;
  readonly parentId?: string;
  /** The tools that the run which starts it is held to; absent where it is held to none. */
  readonly parentTools?: readonly string[];
  readonly depth: number;
  readonly task: string;
  /** Material: texts, and paths of files. */
  readonly texts: readonly string[];
  readonly files: readonly string[];
  /** Names of those that it may use at most. */
  readonly tools?: readonly string[];
  readonly sandboxMode: SandboxMode;
  /** The sandbox that its caller works in. */
  readonly sandbox: string;
  readonly models: readonly string[];
  /** JSON Schema, as JSON. */
  readonly outputSchema?: string;
  readonly budget: Budget;
  readonly requestDigest: string;
}

/** `problem` says what is wrong with what the run was to be started with. */
export type StartAnswer = { readonly isStarted: true } | { readonly isStarted: false; readonly problem: string };

/** What only the run itself can tell is wrong: names of tools that it may not use, and a schema that is none. */
export function startProblem(
  { tools = [], parentTools, outputSchema }: RunStart,
  covered: readonly Tool[],
): string | undefined {
  const names = covered.map(({ name }) => name).filter((name) => parentTools?.includes(name) ?? true);
  const unknown = tools.filter((name) => !names.includes(name));
  if (unknown.length > 0) {
    return `tools: this run may not use ${unknown.join(", ")}; leave tools out, or name some of ${names.join(", ")}.`;
  }
  const problem = outputSchema === undefined ? undefined : schemaProblem(outputSchema);
  return problem === undefined ? undefined : `output_schema is no JSON Schema that can be checked: ${problem}`;
}

/** A run that is about to take its first step. */
export function newRecord(start: RunStart, caller: Caller, startedAtMs: number): RunRecord {
  const { runId, parentId, depth, parentTools, sandboxMode, sandbox, models, outputSchema, budget, requestDigest } =
    start;
  const tools = start.tools ?? parentTools;
  return {
    version: 1,
    runId,
    caller: { ...caller, scopes: [...caller.scopes] },
    ...(parentId === undefined ? {} : { parentId }),
    depth,
    ...(tools === undefined ? {} : { tools: [...tools] }),
    sandboxMode,
    sandbox: sandboxMode === "fork" ? runId : sandbox,
    forkOf: sandbox,
    isForked: false,
    processes: [],
    models: [...models],
    modelIndex: 0,
    ...(outputSchema === undefined ? {} : { outputSchema }),
    isRepairing: false,
    budget,
    limitField: "max_tokens",
    requestDigest,
    status: "running",
    startedAtMs,
    activity: "started",
    ledger: EMPTY_LEDGER,
    turns: 0,
    failedAttempts: 0,
    inFlight: "none",
    toolCalls: {},
    artifacts: [],
    modelsUsed: [],
    notes: noteOf(outputSchema),
  };
}

function noteOf(outputSchema: string | undefined): string[] {
  const note = outputSchema === undefined ? undefined : uncheckedNote(outputSchema);
  return note === undefined ? [] : [note];
}
