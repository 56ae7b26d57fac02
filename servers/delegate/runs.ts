import type { Caller } from "../../auth/caller.ts";
import { sha256Hex } from "../../auth/secrets.ts";
import type { ListedRun } from "../account/run-table.ts";
import type { FileStore } from "../files/store.ts";
import { ToolError } from "../shared/errors.ts";
import { DEFAULT_HANDLE } from "../shared/handles.ts";
import type { Settings } from "../shared/settings.ts";
import { type Budget, type BudgetInput, EMPTY_LEDGER, budgetOf } from "./budget.ts";
import { type ModelEndpoint, modelEndpoint } from "./endpoint.ts";
import type { RunAccount, RunParent } from "./host.ts";
import { sortMaterial } from "./material.ts";
import type { DelegateRunObject } from "./run.ts";
import type { RunReport } from "./run-report.ts";
import type { RunStart } from "./run-start.ts";
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
const TITLE_CHARS = 80;
/** They are one message, which is one row. */
const MAX_TASK_BYTES = 1024 * 1024;

const NO_ENDPOINT =
  "No model endpoint is set; have MODEL_BASE_URL and MODEL_API_KEY set, or AI_GATEWAY_ACCOUNT_ID, AI_GATEWAY_ID and AI_GATEWAY_TOKEN.";
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
      if (isNew) await begin(run, await describeStart(runId, digest, request, context), request, context);
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

/** Checks what can be checked before anything is taken. Its budget is what was asked for. */
async function describeStart(
  runId: string,
  requestDigest: string,
  request: RunRequest,
  context: DelegateRunsContext,
): Promise<RunStart> {
  const { caller, settings, parent } = context;
  const labels = { user: caller.userId, run: runId, depth: "1", server: "delegate", client: caller.clientId };
  const endpoint = modelEndpoint(settings, labels);
  if (endpoint === undefined) throw new ToolError("unavailable", NO_ENDPOINT);
  const sizeBytes = new TextEncoder().encode(JSON.stringify([request.task, request.material])).length;
  if (sizeBytes > MAX_TASK_BYTES) {
    const message = `task and material are over ${MAX_TASK_BYTES} bytes together; put long texts into files and give files:///path.`;
    throw new ToolError("too_large", message);
  }
  const { texts, files } = await sortMaterial(request.material, context.files, caller);
  return {
    runId,
    caller,
    ...(parent === undefined ? {} : { parentId: parent.runId }),
    ...(parent?.tools === undefined ? {} : { parentTools: parent.tools }),
    depth: (parent?.depth ?? 0) + 1,
    task: request.task,
    texts,
    files,
    ...(request.tools === undefined ? {} : { tools: request.tools }),
    sandboxMode: request.sandboxMode,
    sandbox: parent?.sandbox ?? DEFAULT_HANDLE,
    models: modelsFor(request, settings, endpoint),
    ...(request.outputSchema === undefined ? {} : { outputSchema: JSON.stringify(request.outputSchema) }),
    budget: budgetOf(request.budget),
    requestDigest,
  };
}

/** The models in the order in which they are asked. Dollars can only be kept where every price is known. */
function modelsFor({ model, fallbacks, budget }: RunRequest, settings: Settings, endpoint: ModelEndpoint): string[] {
  const first = model ?? settings.MODEL_DEFAULT;
  if (first === undefined) {
    throw new ToolError("invalid_input", "There is no MODEL_DEFAULT; name the model to use in model.");
  }
  const models = [...new Set([first, ...(fallbacks ?? settings.MODEL_FALLBACKS)])];
  const unpriced = models.filter((name) => endpoint.priceOf(name) === undefined);
  if (budget.usd !== undefined && unpriced.length > 0) {
    const message = `What ${unpriced.join(", ")} costs is not known, so budget.usd could not be kept; give budget.tokens instead, or have MODEL_PRICES set.`;
    throw new ToolError("invalid_input", message);
  }
  return models;
}

/**
 * Takes a place and a budget for the run and starts it. Where it is known not to have begun both are given back; where
 * nobody knows they stay taken, and its end gives them back.
 */
async function begin(
  run: Run,
  start: RunStart,
  { budget: asked }: RunRequest,
  { account, settings, parent }: DelegateRunsContext,
): Promise<void> {
  const { runId, task } = start;
  const budget: Budget = parent === undefined ? start.budget : parent.reserveChild(runId, asked);
  const startedAtMs = Date.now();
  const place = {
    id: runId,
    title: task.slice(0, TITLE_CHARS).toWellFormed(),
    startedAtMs,
    endsByMs: startedAtMs + budget.seconds * 1_000,
    ...(parent === undefined ? {} : { parentId: parent.runId }),
  };
  if (!(await account.beginRun(place, settings.DELEGATE_RUNS_AT_ONCE))) {
    parent?.settleChild(runId, EMPTY_LEDGER);
    const message = `${settings.DELEGATE_RUNS_AT_ONCE} of your runs are under way; wait for one with delegate_status, or cancel one.`;
    throw new ToolError("limit_reached", message);
  }
  const problem = await tryToStart(run, { ...start, budget });
  if (problem === undefined) return;
  parent?.settleChild(runId, EMPTY_LEDGER);
  await account.forgetRun(runId);
  throw problem;
}

/** What keeps the run from beginning. */
async function tryToStart(run: Run, start: RunStart): Promise<ToolError | undefined> {
  try {
    const answer = await run.start(start);
    return answer.isStarted ? undefined : new ToolError("invalid_input", answer.problem);
  } catch (cause) {
    // Its answer may have been lost, and not the run.
    const hasBegun = (await run.requestDigest()) !== undefined;
    return hasBegun ? undefined : new ToolError("unavailable", "The run could not be started; try again.", { cause });
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
