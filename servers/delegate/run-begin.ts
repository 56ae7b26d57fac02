import type { Caller } from "../../auth/caller.ts";
import type { FileStore } from "../files/store.ts";
import { ToolError } from "../shared/errors.ts";
import { DEFAULT_HANDLE } from "../shared/handles.ts";
import type { Settings } from "../shared/settings.ts";
import { type Budget, EMPTY_LEDGER, budgetOf } from "./budget.ts";
import type { RunAccount, RunParent } from "./host.ts";
import { sortMaterial } from "./material.ts";
import { type ModelEndpoint, NO_ENDPOINT, modelEndpoint } from "./model/endpoint.ts";
import type { DelegateRunObject } from "./run.ts";
import type { RunStart } from "./run-start.ts";
import type { RunRequest } from "./runs.ts";

type Run = Pick<DurableObjectStub<DelegateRunObject>, "start" | "requestDigest">;

/** What a run is begun with: its caller's, or that of the run whose sub-agent begins it. */
interface Beginning {
  readonly caller: Caller;
  readonly settings: Settings;
  readonly account: RunAccount;
  readonly files: Pick<FileStore, "stat">;
  readonly parent?: RunParent;
}

const TITLE_CHARS = 80;
/** They are one message, which is one row. */
const MAX_TASK_BYTES = 1024 * 1024;

/**
 * Takes a place and a budget for the run and starts it. Where it is known not to have begun both are given back; where
 * nobody knows they stay taken, and its end gives them back.
 */
export async function beginRun(
  run: Run,
  { runId, requestDigest }: Pick<RunStart, "runId" | "requestDigest">,
  request: RunRequest,
  beginning: Beginning,
): Promise<void> {
  const { account, settings, parent } = beginning;
  const start = await describeStart(runId, requestDigest, request, beginning);
  const budget: Budget = parent === undefined ? start.budget : parent.reserveChild(runId, request.budget);
  const startedAtMs = Date.now();
  const place = {
    id: runId,
    title: request.task.slice(0, TITLE_CHARS).toWellFormed(),
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

/** Checks what can be checked before anything is taken. Its budget is what was asked for. */
async function describeStart(
  runId: string,
  requestDigest: string,
  request: RunRequest,
  beginning: Beginning,
): Promise<RunStart> {
  const { caller, settings, parent } = beginning;
  const labels = { user: caller.userId, run: runId, depth: "1", server: "delegate", client: caller.clientId };
  const endpoint = modelEndpoint(settings, labels);
  if (endpoint === undefined) throw NO_ENDPOINT;
  const sizeBytes = new TextEncoder().encode(JSON.stringify([request.task, request.material])).length;
  if (sizeBytes > MAX_TASK_BYTES) {
    const message = `task and material are over ${MAX_TASK_BYTES} bytes together; put long texts into files and give files:///path.`;
    throw new ToolError("too_large", message);
  }
  const { texts, files } = await sortMaterial(request.material, beginning.files, caller);
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
