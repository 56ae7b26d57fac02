import { DurableObject } from "cloudflare:workers";
import type { Caller } from "../../auth/caller.ts";
import type { Tool } from "../core/tool.ts";
import { consoleLog, describeFailure } from "../core/log.ts";
import { ToolError, errorText } from "../shared/errors.ts";
import { parseSettings } from "../shared/settings.ts";
import { asParent } from "./children.ts";
import { modelEndpoint } from "./model/endpoint.ts";
import { createAsker } from "./model/gateway.ts";
import type { HostedRun, RunHost } from "./host.ts";
import { describeTask } from "./instructions.ts";
import { type ChildRun, closeRun } from "./run-end.ts";
import { type RunReport, describeRun } from "./run-report.ts";
import { type RunStart, type StartAnswer, newRecord, startProblem } from "./run-start.ts";
import { type StepContext, leftMs } from "./step-context.ts";
import { takeStep } from "./step.ts";
import { asSubAgent, coveredTools } from "./toolbox.ts";
import { type KeptFile, type RunRecord, Transcript, hasEnded, openRequests, toolResult } from "./transcript.ts";

/** The conversation is written right after the end: worth waiting for, not for long. */
const CONVERSATION_WAIT_MS = 3_000;
/** How long what broke unexpectedly waits. */
const TRY_AGAIN_MS = 60_000;
/** Changes within such a time are told together. */
const GATHERED_MS = 100;
/** A Durable Object that was replaced by a deployment is there again in a moment. */
const TRANSIENT_WAIT_MS = 1_000;

/** Who asks for a run, of its person's clients. */
type Asker = Pick<Caller, "clientId" | "scopes">;

/**
 * One delegated run. Each alarm takes one step and sets the next, so the loop needs nobody to wait for it and goes on
 * after an eviction, a restart or a deployment.
 */
export abstract class DelegateRunObject<Env extends object = object> extends DurableObject<Env> {
  readonly #transcript: Transcript;
  readonly #watchers = new Set<() => void>();
  /** What calls wrote and is not in the record yet. */
  #files: KeptFile[] = [];
  #known: { readonly caller: RunRecord["caller"]; readonly surroundings: Omit<StepContext, "signal"> } | undefined;
  /** Ends what the current step waits for. */
  #abort = new AbortController();

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    this.#transcript = new Transcript(state.storage, () => {
      for (const wake of this.#watchers) wake();
    });
  }

  /** Every tool there is. */
  protected abstract suiteTools(): readonly Tool[];

  /** Everything that the run acts on. */
  protected abstract hostOf(run: HostedRun): RunHost;

  /** A run of the same caller, that this one started. */
  protected abstract childRun(caller: Caller, runId: string): ChildRun;

  /** Begins the run; a run that has begun stays as it is. */
  async start(start: RunStart): Promise<StartAnswer> {
    if (this.#transcript.find() !== undefined) return { isStarted: true };
    const caller = asSubAgent(start.caller, start.depth, start.sandboxMode);
    const problem = startProblem(start, coveredTools(this.suiteTools(), caller.scopes));
    if (problem !== undefined) return { isStarted: false, problem };
    const task = describeTask(start.task, start.texts, start.files);
    this.#transcript.create(newRecord(start, caller, Date.now()), task);
    await this.ctx.storage.setAlarm(Date.now());
    return { isStarted: true };
  }

  /** The run, where whoever asks may have it: another client with fewer scopes could act through it. */
  #openTo(asker: Asker | undefined): RunRecord | undefined {
    const run = this.#transcript.find();
    if (run === undefined || asker === undefined || asker.clientId === run.caller.clientId) return run;
    return run.caller.scopes.every((scope) => asker.scopes.includes(scope)) ? run : undefined;
  }

  /** The digest of what the run was started with; `undefined`: there is no such run. */
  requestDigest(): string | undefined {
    return this.#transcript.find()?.requestDigest;
  }

  /** Where the run stands once that is news to the asker, or after `waitMs`. `undefined`: there is no such run. */
  async report(seenVersion: number, waitMs: number, asker?: Asker): Promise<RunReport | undefined> {
    const run = this.#openTo(asker);
    if (run === undefined) return undefined;
    if (run.version <= seenVersion && run.status === "running" && waitMs > 0) await this.#nextChange(waitMs);
    // Should its alarm be lost, whoever asks sees to it that it ends.
    if (!hasEnded(run) && leftMs(run, Date.now()) < -TRY_AGAIN_MS) await this.ctx.storage.setAlarm(Date.now());
    await this.#conversationKept();
    return describeRun(this.#transcript.read());
  }

  /** A run that has ended changes more than once before its conversation is kept: what was set aside is settled first. */
  async #conversationKept(): Promise<void> {
    for (;;) {
      const run = this.#transcript.read();
      if (!hasEnded(run) || run.conversation !== undefined) return;
      const waitMs = CONVERSATION_WAIT_MS - (Date.now() - (run.endedAtMs ?? 0));
      if (waitMs <= 0) return;
      await this.#nextChange(waitMs);
    }
  }

  /** Tells a run what it has asked. `false`: it asks nothing. `undefined`: there is no such run. */
  async answer(text: string, asker: Asker): Promise<boolean | undefined> {
    const run = this.#openTo(asker);
    if (run === undefined) return undefined;
    const [request] = openRequests(this.#transcript.messages());
    if (run.status !== "input_required" || request === undefined) return false;
    this.#transcript.update({ status: "running", activity: "was answered" }, [toolResult(request, text, false)]);
    await this.ctx.storage.setAlarm(Date.now());
    return true;
  }

  /** Ends a run that is under way, with the model call or tool call that it waits for. */
  async cancel(asker?: Asker, reason = "The run was cancelled by its caller."): Promise<RunReport | undefined> {
    const run = this.#openTo(asker);
    if (run === undefined) return undefined;
    if (!hasEnded(run)) {
      const error = errorText(new ToolError("cancelled", reason));
      this.#transcript.update({ status: "cancelled", activity: "cancelled", endedAtMs: Date.now(), error });
      this.#abort.abort();
      await this.ctx.storage.setAlarm(Date.now());
    }
    return await this.report(0, 0);
  }

  /** The platform gives an alarm up that fails again and again: this one does not. */
  override async alarm(): Promise<void> {
    try {
      await this.#onAlarm();
    } catch (failure) {
      consoleLog.error("run not gone on with", { failure: describeFailure(failure) });
      await this.ctx.storage.setAlarm(Date.now() + TRY_AGAIN_MS);
    }
  }

  async #onAlarm(): Promise<void> {
    const run = this.#transcript.find();
    if (run === undefined) return;
    const waitMs = await this.#goOn(run);
    if (waitMs !== undefined) return await this.ctx.storage.setAlarm(Date.now() + waitMs);
    const ended = this.#transcript.read();
    const nextAtMs = await closeRun({
      storage: this.ctx.storage,
      transcript: this.#transcript,
      tools: this.suiteTools(),
      host: this.#host(ended),
      childRun: (childId) => this.childRun(ended.caller, childId),
      log: consoleLog,
    });
    if (nextAtMs === undefined) return await this.#transcript.forget();
    await this.ctx.storage.setAlarm(nextAtMs);
  }

  /** How long to wait before the run goes on; `undefined` where it has ended. */
  async #goOn(run: RunRecord): Promise<number | undefined> {
    if (run.status === "input_required") {
      const waitMs = leftMs(run, Date.now());
      if (waitMs > 0) return waitMs;
      const asked = `budget.seconds was used up while the run waited for an answer to: ${run.question}`;
      const error = errorText(new ToolError("limit_reached", asked));
      this.#transcript.update({
        status: "budget_exhausted",
        activity: "budget_exhausted",
        endedAtMs: Date.now(),
        error,
      });
    }
    if (run.status !== "running") return undefined;
    const waitMs = await this.#takeStep(run);
    const after = this.#transcript.read();
    if (after.status === "input_required") return Math.max(0, leftMs(after, Date.now()));
    // It may have asked and been answered meanwhile.
    return hasEnded(after) ? undefined : (waitMs ?? 0);
  }

  async #takeStep(run: RunRecord): Promise<number | undefined> {
    this.#abort = new AbortController();
    try {
      return await takeStep({ ...this.#surroundings(run), signal: this.#abort.signal });
    } catch (failure) {
      if (isTransient(failure) && leftMs(run, Date.now()) > TRANSIENT_WAIT_MS) return TRANSIENT_WAIT_MS;
      this.#fail(run, failure);
      return undefined;
    }
  }

  /** What every step of the run works with, as long as its caller may do the same. Settings stay in the object's life. */
  #surroundings(run: RunRecord): Omit<StepContext, "signal"> {
    if (this.#known?.caller === run.caller) return this.#known.surroundings;
    const settings = parseSettings(this.env);
    const endpoint = modelEndpoint(settings, {
      user: run.caller.userId,
      run: run.runId,
      depth: String(run.depth),
      server: "delegate",
      client: run.caller.clientId,
    });
    if (endpoint === undefined) throw new ToolError("unavailable", "The model endpoint was taken out of the settings.");
    const surroundings = {
      transcript: this.#transcript,
      tools: this.suiteTools(),
      host: this.#host(run),
      endpoint,
      settings,
      ask: createAsker(endpoint, (input, init) => fetch(input, init)),
      log: consoleLog,
      now: () => Date.now(),
      takeFiles: () => this.#files.splice(0),
      inBackground: (work: Promise<void>) => this.ctx.waitUntil(work),
    };
    this.#known = { caller: run.caller, surroundings };
    return surroundings;
  }

  #host({ runId, caller, sandbox, forkOf }: RunRecord): RunHost {
    return this.hostOf({
      runId,
      caller,
      sandbox,
      forkOf,
      asParent: asParent(this.#transcript, () => Date.now()),
      onFile: (file) => void this.#files.push(file),
    });
  }

  /** An unexpected end is written down too: a run is never silently lost. */
  #fail(run: RunRecord, failure: unknown): void {
    const isExpected = failure instanceof ToolError;
    if (!isExpected) consoleLog.error("run broke", { run: run.runId, failure: describeFailure(failure) });
    const error = isExpected
      ? failure
      : new ToolError("internal", `Something broke in Pincer; tell whoever runs it the reference ${run.runId}.`);
    if (this.#transcript.read().status !== "running") return;
    this.#transcript.update({ status: "failed", activity: "failed", endedAtMs: Date.now(), error: errorText(error) });
  }

  /** Waits for a change: for a moment longer where others may follow it at once, so that each needs no message. */
  async #nextChange(waitMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    let timer = setTimeout(resolve, waitMs);
    let hasChanged = false;
    const onChange = (): void => {
      if (this.#transcript.read().status !== "running") return resolve();
      if (hasChanged) return;
      hasChanged = true;
      clearTimeout(timer);
      timer = setTimeout(resolve, Math.min(waitMs, GATHERED_MS));
    };
    this.#watchers.add(onChange);
    await promise;
    clearTimeout(timer);
    this.#watchers.delete(onChange);
  }
}

/** What the platform says where it took an object away in the middle of a call; asked again it is there. */
function isTransient(failure: unknown): boolean {
  return failure instanceof Error && "retryable" in failure && failure.retryable === true;
}
