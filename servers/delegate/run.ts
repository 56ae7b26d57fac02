import { DurableObject } from "cloudflare:workers";
import type { Caller } from "../../auth/caller.ts";
import { consoleLog, describeFailure } from "../core/log.ts";
import type { FileStore } from "../files/store.ts";
import { ToolError, errorText } from "../shared/errors.ts";
import { parseSettings } from "../shared/settings.ts";
import { type Budget, EMPTY_LEDGER, unreportedTokens } from "./budget.ts";
import { describeConversation } from "./conversation.ts";
import { modelEndpoint } from "./endpoint.ts";
import { takeStep } from "./step.ts";
import { type Toolbox, asSubAgent } from "./toolbox.ts";
import { type RunRecord, type RunState, Transcript } from "./transcript.ts";

/** How long a run that has ended can still be asked for. */
const KEPT_MS = 7 * 24 * 60 * 60 * 1_000;
/** How long a conversation waits that the files did not take: they may be full, or out of reach. */
const KEEP_AGAIN_MS = 60 * 60 * 1_000;

export interface RunStart {
  readonly runId: string;
  readonly caller: Caller;
  readonly task: string;
  readonly model: string;
  readonly budget: Budget;
}

/** Where a run stands. */
export interface RunReport {
  /** Grows with every change. */
  readonly version: number;
  readonly runId: string;
  readonly state: RunState;
  readonly model: string;
  readonly activity: string;
  readonly answer?: string;
  readonly error?: string;
  readonly steps: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly unreportedTokens: number;
  readonly costUsd?: number;
  readonly toolCalls: Readonly<Record<string, number>>;
}

/**
 * One delegated run. Each alarm takes one step and sets the next, so the loop needs nobody to wait for it and goes on
 * after an eviction, a restart or a deployment.
 */
export abstract class DelegateRunObject<Env extends object = object> extends DurableObject<Env> {
  readonly #transcript: Transcript;
  readonly #watchers = new Set<() => void>();
  /** Ends what the current step waits for. */
  #abort = new AbortController();

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    this.#transcript = new Transcript(state.storage, () => {
      for (const wake of this.#watchers) wake();
    });
  }

  /** The suite's tools as the sub-agent of that caller may use them. */
  protected abstract toolboxFor(caller: Caller, runId: string): Toolbox;

  /** The files of that caller, for the conversation of a run that has ended. */
  protected abstract filesOf(caller: Caller): Pick<FileStore, "write">;

  async start({ runId, caller, task, model, budget }: RunStart): Promise<void> {
    const subAgent = asSubAgent(caller);
    this.#transcript.create(
      {
        version: 1,
        runId,
        caller: { ...subAgent, scopes: [...subAgent.scopes] },
        model,
        budget,
        limitField: "max_tokens",
        state: "running",
        startedAtMs: Date.now(),
        activity: "started",
        ledger: EMPTY_LEDGER,
        steps: 0,
        failedAttempts: 0,
        inFlight: "none",
        toolCalls: {},
      },
      task,
    );
    await this.ctx.storage.setAlarm(Date.now());
  }

  /** Where the run stands once that is news to the asker, or after `waitMs`. `undefined`: there is no such run. */
  async report(seenVersion: number, waitMs: number): Promise<RunReport | undefined> {
    const run = this.#transcript.find();
    if (run === undefined) return undefined;
    if (run.version <= seenVersion && run.state === "running" && waitMs > 0) await this.#nextChange(waitMs);
    return describeRun(this.#transcript.read());
  }

  /** Ends a run that is under way, with the model call or tool call that it waits for. */
  async cancel(): Promise<void> {
    if (this.#transcript.find()?.state !== "running") return;
    const error = errorText(new ToolError("cancelled", "The run was cancelled while its caller waited for it."));
    this.#transcript.update({ state: "cancelled", activity: "cancelled", endedAtMs: Date.now(), error });
    this.#abort.abort();
    await this.ctx.storage.setAlarm(Date.now());
  }

  override async alarm(): Promise<void> {
    const run = this.#transcript.find();
    if (run === undefined) return;
    const waitMs = run.state === "running" ? await this.#takeStep(run) : undefined;
    if (waitMs !== undefined) return await this.ctx.storage.setAlarm(Date.now() + waitMs);
    const keptUntilMs = (run.endedAtMs ?? Date.now()) + KEPT_MS;
    if (Date.now() >= keptUntilMs) return await this.ctx.storage.deleteAll();
    const isKept = await this.#keepConversation();
    await this.ctx.storage.setAlarm(isKept ? keptUntilMs : Date.now() + KEEP_AGAIN_MS);
  }

  /** Puts the conversation into the caller's files, once; whether it is there. */
  async #keepConversation(): Promise<boolean> {
    if (this.ctx.storage.kv.get("conversation") !== undefined) return true;
    const run = this.#transcript.read();
    const path = `conversations/${new Date(run.startedAtMs).toISOString().slice(0, 10)}/${run.runId}.md`;
    const text = describeConversation(run, this.#transcript.messages());
    try {
      const madeBy = { tool: "delegate_run", run_id: run.runId, model: run.model.slice(0, 256) };
      await this.filesOf(run.caller).write(path, text, { mimeType: "text/markdown", madeBy });
    } catch (failure) {
      consoleLog.error("conversation not kept", { run: run.runId, failure: describeFailure(failure) });
      return false;
    }
    // Beside the record: for whoever asks how the run stands, this is no change.
    this.ctx.storage.kv.put("conversation", path);
    return true;
  }

  async #takeStep(run: RunRecord): Promise<number | undefined> {
    this.#abort = new AbortController();
    try {
      const settings = parseSettings(this.env);
      const labels = {
        user: run.caller.userId,
        run: run.runId,
        depth: "1",
        server: "delegate",
        client: run.caller.clientId,
      };
      const endpoint = modelEndpoint(settings, labels);
      if (endpoint === undefined)
        throw new ToolError("unavailable", "The model endpoint was taken out of the settings.");
      return await takeStep({
        transcript: this.#transcript,
        toolbox: this.toolboxFor(run.caller, run.runId),
        endpoint,
        fetcher: (input, init) => fetch(input, init),
        log: consoleLog,
        now: () => Date.now(),
        signal: this.#abort.signal,
      });
    } catch (failure) {
      this.#fail(run, failure);
      return undefined;
    }
  }

  /** An unexpected end is written down too: a run is never silently lost. */
  #fail(run: RunRecord, failure: unknown): void {
    const isExpected = failure instanceof ToolError;
    if (!isExpected) consoleLog.error("run broke", { run: run.runId, failure: describeFailure(failure) });
    const error = isExpected
      ? failure
      : new ToolError("internal", `Something broke in Pincer; tell whoever runs it the reference ${run.runId}.`);
    if (this.#transcript.read().state !== "running") return;
    this.#transcript.update({ state: "failed", activity: "failed", endedAtMs: Date.now(), error: errorText(error) });
  }

  async #nextChange(waitMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, waitMs);
    this.#watchers.add(resolve);
    await promise;
    clearTimeout(timer);
    this.#watchers.delete(resolve);
  }
}

function describeRun(run: RunRecord): RunReport {
  return {
    version: run.version,
    runId: run.runId,
    state: run.state,
    model: run.model,
    activity: run.activity,
    ...(run.answer === undefined ? {} : { answer: run.answer }),
    ...(run.error === undefined ? {} : { error: run.error }),
    steps: run.steps,
    inputTokens: run.ledger.inputTokens,
    outputTokens: run.ledger.outputTokens,
    // While the model works, its reservation is open rather than unreported.
    unreportedTokens: run.state === "running" && run.inFlight === "model" ? 0 : unreportedTokens(run.ledger),
    ...(run.ledger.costUsd === undefined ? {} : { costUsd: run.ledger.costUsd }),
    toolCalls: run.toolCalls,
  };
}
