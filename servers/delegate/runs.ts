import type { Caller } from "../../auth/caller.ts";
import { ToolError } from "../shared/errors.ts";
import type { Settings } from "../shared/settings.ts";
import type { Budget } from "./budget.ts";
import { modelEndpoint } from "./endpoint.ts";
import type { DelegateRunObject, RunReport } from "./run.ts";

/** A caller's delegated runs. */
export interface DelegateRuns {
  /**
   * Starts a run and waits for it. Rejects with `unavailable` where no model endpoint is set, with `invalid_input`
   * where there is no model to use.
   */
  start(request: RunRequest, watch: RunWatch): Promise<RunReport>;
  /** Waits for one of the caller's runs. Rejects with `not_found`. */
  wait(runId: string, watch: RunWatch): Promise<RunReport>;
}

export interface RunRequest {
  readonly task: string;
  readonly model?: string;
  readonly budget: Budget;
}

export interface RunWatch {
  /** Then the report says how far the run is, and it goes on. */
  readonly waitMs: number;
  /** Cancels the run while somebody waits for it. */
  readonly signal: AbortSignal;
  readonly onProgress: (activity: string) => void;
}

export interface DelegateRunsContext {
  readonly namespace: DurableObjectNamespace<DelegateRunObject>;
  readonly caller: Caller;
  readonly settings: Settings;
  /** Keeps a cancellation alive when the client has gone. */
  readonly waitUntil: (work: Promise<unknown>) => void;
}

/** That a client has gone away is noticed only while it is being told something. */
const HEARTBEAT_MS = 3_000;

const NO_ENDPOINT =
  "No model endpoint is set; have MODEL_BASE_URL and MODEL_API_KEY set, or AI_GATEWAY_ACCOUNT_ID, AI_GATEWAY_ID and AI_GATEWAY_TOKEN.";

export function createDelegateRuns({ namespace, caller, settings, waitUntil }: DelegateRunsContext): DelegateRuns {
  const open = (runId: string): DurableObjectStub<DelegateRunObject> =>
    namespace.get(namespace.idFromName(`${caller.userId}/run/${runId}`));

  const follow = async (runId: string, endsAtMs: number, { signal, onProgress }: RunWatch): Promise<RunReport> => {
    const run = open(runId);
    const onAbort = (): void => waitUntil(run.cancel());
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      let seen: RunReport | undefined;
      for (;;) {
        const leftMs = Math.max(0, endsAtMs - Date.now());
        const sinceMs = Date.now();
        const report = await reportOf(run, seen?.version ?? 0, Math.min(leftMs, HEARTBEAT_MS), runId);
        if (report.activity !== seen?.activity || Date.now() - sinceMs >= HEARTBEAT_MS) onProgress(report.activity);
        if (report.state !== "running" || leftMs === 0) return report;
        seen = report;
      }
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  };

  return {
    start: async ({ task, model = settings.MODEL_DEFAULT, budget }, watch) => {
      const endsAtMs = Date.now() + watch.waitMs;
      const runId = `run-${crypto.randomUUID().replaceAll("-", "").slice(0, 16)}`;
      const labels = { user: caller.userId, run: runId, depth: "1", server: "delegate", client: caller.clientId };
      if (modelEndpoint(settings, labels) === undefined) throw new ToolError("unavailable", NO_ENDPOINT);
      if (model === undefined) {
        throw new ToolError("invalid_input", "There is no MODEL_DEFAULT; name the model to use in model.");
      }
      await open(runId).start({ runId, caller, task, model, budget });
      return await follow(runId, endsAtMs, watch);
    },
    wait: async (runId, watch) => await follow(runId, Date.now() + watch.waitMs, watch),
  };
}

async function reportOf(
  run: DurableObjectStub<DelegateRunObject>,
  seenVersion: number,
  waitMs: number,
  runId: string,
): Promise<RunReport> {
  let report: RunReport | undefined;
  try {
    report = await run.report(seenVersion, waitMs);
  } catch (cause) {
    const message = `Nobody can say how ${runId} is doing right now; call delegate_run with this run_id again.`;
    throw new ToolError("unavailable", message, { cause });
  }
  if (report === undefined) {
    throw new ToolError("not_found", "There is no such run, or it ended over a week ago; start one with task.");
  }
  return report;
}
