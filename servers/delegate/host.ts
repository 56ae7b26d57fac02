import type { Caller } from "../../auth/caller.ts";
import type { Scope } from "../../auth/scopes.ts";
import type { DayAnswer, ModelSpend, SettledModelCall, ToldModelCall } from "../account/model-spend.ts";
import type { ListedRun } from "../account/run-table.ts";
import type { CallEnd } from "../core/call.ts";
import type { Tool } from "../core/tool.ts";
import type { FileStore } from "../files/store.ts";
import type { Budget, BudgetInput, Ledger } from "./budget.ts";
import type { KeptFile } from "./transcript.ts";

/** The person's books as far as runs are in them (`Account`). */
export interface RunAccount {
  /** Takes one of the places for runs side by side; `false`: all are taken. */
  beginRun(run: ListedRun, maxAtOnce: number): Promise<boolean>;
  endRun(runId: string, status: string): Promise<void>;
  forgetRun(runId: string): Promise<void>;
  /** The newest first; those that one run started, where that is given. */
  listRuns(limit: number, parentId?: string): Promise<ListedRun[]>;
  /** Sets aside what a model call may use at most, unless that is more than is left of the day. Settles `last` before. */
  reserveModelCall(callId: string, most: ModelSpend, limit: ModelSpend, last?: ToldModelCall): Promise<DayAnswer>;
  settleModelCall(callId: string, used: SettledModelCall): Promise<void>;
}

/** Everything that a run acts on, bound to its caller by `worker.ts`. */
export interface RunHost {
  /** Calls a tool the way clients do: scopes, limits, deadline, books. Never rejects. */
  readonly callTool: (tool: Tool, input: unknown, signal: AbortSignal) => Promise<CallEnd>;
  /** As `callTool`, past the limits: what a run leaves behind is ended whether or not its person may go on. */
  readonly endWith: (tool: Tool, input: unknown) => Promise<CallEnd>;
  /** Rejects with why the person may not go on, paused or out of dollars; with `unavailable` where nobody can say. */
  readonly checkStanding: () => Promise<void>;
  readonly files: Pick<FileStore, "write">;
  readonly account: RunAccount;
  /** What the caller's grant allows by now; `undefined` where it is gone, and the run with it. */
  readonly scopesNow: () => Promise<readonly Scope[] | undefined>;
  /** Makes the run's own sandbox, a copy of its caller's. Used in mode `fork` alone, as is the next. */
  readonly forkSandbox: () => Promise<void>;
  readonly discardSandbox: () => Promise<void>;
}

/** Who a host is for. */
export interface HostedRun {
  readonly runId: string;
  readonly caller: Caller;
  /** The sandbox that it works in: its caller's main one, or one of its own. */
  readonly sandbox: string;
  /** The one that it begins as a copy of, in mode `fork`. */
  readonly forkOf: string;
  /** The run as the parent of those that it starts itself. */
  readonly asParent: RunParent;
  /** Told of each file that the run's calls write. */
  readonly onFile: (file: KeptFile) => void;
}

/** A run as whoever it starts sees it. */
export interface RunParent {
  readonly runId: string;
  readonly depth: number;
  /** The sandbox that it works in, and whoever it starts with it, or with a copy of it. */
  readonly sandbox: string;
  /** The tools that it is held to, and whoever it starts with it; absent where it may use all that its caller may. */
  readonly tools?: readonly string[];
  /** Sets the budget of a run that it starts aside, from its own. Throws `limit_reached` where too little is left. */
  reserveChild(childId: string, asked: BudgetInput): Budget;
  /** Takes in what a run that it started has used, once that has ended. */
  settleChild(childId: string, ledger: Ledger): void;
}
