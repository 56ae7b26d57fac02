import type { Caller } from "../../auth/caller.ts";
import { sha256Hex } from "../../auth/secrets.ts";
import type { ListedRun } from "../account/run-table.ts";
import type { FileStore } from "../files/store.ts";
import { ToolError } from "../shared/errors.ts";
import type { Settings } from "../shared/settings.ts";
import type { BudgetInput } from "./budget.ts";
import type { RunAccount, RunParent } from "./host.ts";
import { beginRun } from "./run-begin.ts";
import type { DelegateRunObject } from "./run.ts";
import type { RunReport } from "./run-report.ts";
import { RUN_STATUSES, type RunStatus, type SandboxMode, hasEnded } from "./transcript.ts";

/** A caller's delegated runs; for a sub-agent those that it started itself. */
export interface DelegateRuns {
  /**
   * Starts a run and waits for it. Rejects with `unavailable` where no model endpoint is set, with `limit_reached` where
   * as many run as may, with `conflict` where the idempotency key was used for something else, and with `invalid_input`.
   */
  start(request: RunRequest, watch: RunWatch): Promise<RunReport>;
  /** Waits until the run has ended or asks something. Rejects with `not_found`. */
  wait(runId: string, watch: RunWatch): Promise<RunReport>;
  /** Tells a run what it has asked. Rejects with `not_found`, and with `conflict` where it asks nothing. */
  answer(runId: string, text: string): Promise<void>;
  /** Ends the run, and what it has going. Rejects with `not_found`. */
  cancel(runId: string): Promise<RunReport>;
  /** The newest first. */
  list(): Promise<readonly RunSummary[]>;
}

export interface RunRequest {
  readonly task: string;
  /** Texts, and files as `files:///…`. */
  readonly material: readonly string[];
  readonly tools?: readonly string[];
  readonly model?: string;
  readonly fallbacks?: readonly string[];
  readonly budget: BudgetInput;
  readonly outputSchema?: Readonly<Record<string, unknown>>;
  readonly sandboxMode: SandboxMode;
  /** The same key finds the run again that it started. */
  readonly idempotencyKey?: string;
}

export interface RunWatch {
  /** Then the report says how far the run is, and it goes on. */
  readonly waitMs: number;
  /** Ends the waiting, and a run that is being started with it. */
  readonly signal: AbortSignal;
  readonly onProgress: (activity: string) => void;
}

export interface RunSummary {
  readonly runId: string;
  readonly status: RunStatus;
  /** How its task begins. */
  readonly title: string;
  readonly startedAtMs: number;
}

export interface DelegateRunsContext {
  readonly namespace: DurableObjectNamespace<DelegateRunObject>;
  readonly caller: Caller;
  readonly settings: Settings;
  readonly account: RunAccount;
  readonly files: Pick<FileStore, "stat">;
  /** Keeps a cancellation alive when the client has gone. */
  readonly waitUntil: (work: Promise<unknown>) => void;
  /** The run whose sub-agent acts; absent for a client. */
  readonly parent?: RunParent;
}

/** A client that waits is told something at least so often. */
const HEARTBEAT_MS = 3_000;
const LISTED_RUNS = 50;
const NO_SUCH_RUN = "There is no such run, or it ended over a week ago; delegate_list shows what there is.";

type Run = DurableObjectStub<DelegateRunObject>;

export function createDelegateRuns(context: DelegateRunsContext): DelegateRuns {
  const { namespace, caller, account, parent, waitUntil } = context;
  const open = (runId: string): Run => namespace.get(namespace.idFromName(runName(caller.userId, runId)));

  /** Somebody else's run is not there, and for a sub-agent none that it did not start. */
  const find = async (runId: string): Promise<Run> => {
    if (parent !== undefined) {
      const own = await account.listRuns(LISTED_RUNS, parent.runId);
      if (!own.some(({ id }) => id === runId)) throw new ToolError("not_found", NO_SUCH_RUN);
    }
    return open(runId);
  };

  const follow = async (runId: string, run: Run, { waitMs, signal, onProgress }: RunWatch): Promise<RunReport> => {
    const endsAtMs = Date.now() + waitMs;
    let seen: RunReport | undefined;
    for (;;) {
      const leftMs = signal.aborted ? 0 : Math.max(0, endsAtMs - Date.now());
      const sinceMs = Date.now();
      const report = await reportOf(run, seen?.version ?? 0, Math.min(leftMs, HEARTBEAT_MS), runId, caller);
      if (report.activity !== seen?.activity || Date.now() - sinceMs >= HEARTBEAT_MS) onProgress(report.activity);
      if (hasEnded(report)) parent?.settleChild(runId, report.ledger);
      if (report.status !== "running" || leftMs === 0) return report;
      seen = report;
    }
  };

  return {
    start: async (request, watch) => {
      const runId = await runIdFor(request, context);
      const run = open(runId);
      const digest = await digestOf(request);
      const isKeyed = request.idempotencyKey !== undefined;
      const isNew = !isKeyed || (await run.requestDigest()) === undefined;
      if (isNew) await beginRun(run, { runId, requestDigest: digest }, request, context);
      // Asked after the start: another call may have used the key meanwhile.
      if (isKeyed && (await run.requestDigest()) !== digest) {
        throw new ToolError("conflict", "This idempotency_key started another run; give the same input, or a new key.");
      }
      // A call that is cancelled takes its run along, unless whoever lost the answer can find that again by its key.
      const onAbort = (): void => (isKeyed ? undefined : waitUntil(run.cancel()));
      if (watch.signal.aborted) onAbort();
      watch.signal.addEventListener("abort", onAbort, { once: true });
      try {
        return await follow(runId, run, watch);
      } finally {
        watch.signal.removeEventListener("abort", onAbort);
      }
    },
    wait: async (runId, watch) => await follow(runId, await find(runId), watch),
    answer: async (runId, text) => {
      const run = await find(runId);
      const isAnswered = await run.answer(text, caller);
      if (isAnswered === undefined) throw new ToolError("not_found", NO_SUCH_RUN);
      if (!isAnswered)
        throw new ToolError("conflict", "The run asks nothing; leave answer out to see how it is doing.");
    },
    cancel: async (runId) => {
      const run = await find(runId);
      const report = await run.cancel(caller);
      if (report === undefined) throw new ToolError("not_found", NO_SUCH_RUN);
      parent?.settleChild(runId, report.ledger);
      return report;
    },
    list: async () => {
      const rows = await account.listRuns(LISTED_RUNS, parent?.runId);
      return (await Promise.all(rows.map(async (row) => await summarize(open(row.id), row, caller)))).flat();
    },
  };
}

/** What a run's Durable Object is named: its person's, whoever asks. */
export function runName(userId: string, runId: string): string {
  return `${userId}/run/${runId}`;
}

async function runIdFor({ idempotencyKey }: RunRequest, { caller, parent }: DelegateRunsContext): Promise<string> {
  if (idempotencyKey === undefined) return `run-${crypto.randomUUID().replaceAll("-", "").slice(0, 16)}`;
  const named = JSON.stringify([caller.userId, caller.clientId, parent?.runId, idempotencyKey]);
  return `run-${(await sha256Hex(named)).slice(0, 16)}`;
}

/** What was asked, whoever asks it again. */
async function digestOf(request: RunRequest): Promise<string> {
  const { idempotencyKey: _, ...asked } = request;
  return await sha256Hex(JSON.stringify(asked));
}

/** A run in a line; nothing where its object has forgotten it, or does not know the asker. */
async function summarize(run: Run, row: ListedRun, caller: Caller): Promise<RunSummary[]> {
  const { id: runId, title, startedAtMs } = row;
  try {
    const report = await run.report(0, 0, caller);
    return report === undefined ? [] : [{ runId, title, startedAtMs, status: report.status }];
  } catch {
    // One that cannot be reached right now is no reason to show none.
    return [{ runId, title, startedAtMs, status: RUN_STATUSES.find((status) => status === row.status) ?? "running" }];
  }
}

async function reportOf(
  run: Run,
  seenVersion: number,
  waitMs: number,
  runId: string,
  caller: Caller,
): Promise<RunReport> {
  let report: RunReport | undefined;
  try {
    report = await run.report(seenVersion, waitMs, caller);
  } catch (cause) {
    const message = `Nobody can say how ${runId} is doing right now; ask delegate_status again.`;
    throw new ToolError("unavailable", message, { cause });
  }
  if (report === undefined) throw new ToolError("not_found", NO_SUCH_RUN);
  return report;
}
