import { join } from "node:path";
import * as z from "zod";
import type { CodeContextInfo } from "../../../servers/sandbox/driver.ts";
import type { RestoreEnd, WorkspaceLook } from "../../../servers/sandbox/workspace.ts";
import { type AgentLink, SILENT } from "./agent-link.ts";
import type { CodeRunResult } from "./code-result.ts";
import type { CodeRequest } from "./context.ts";
import { Contexts } from "./contexts.ts";
import { doOnce } from "./do-once.ts";
import type { Agent, Enclosure } from "./enclosure.ts";
import { type Guest, guestFiles } from "./guest-files.ts";
import { guestSnapshots } from "./guest-snapshots.ts";
import { TO_AGENT } from "./inside/frames.mjs";
import type { Limits } from "./limits.ts";
import { LiveOutput } from "./live-output.ts";
import { Manifest } from "./manifest.ts";
import { FilesMount } from "./mount.ts";
import { Processes } from "./processes.ts";
import { type CommandRequest, SandboxProcess } from "./process.ts";
import { Problem } from "./problem.ts";
import type { ProcessRecord } from "./record.ts";
import { NO_SNAPSHOTS } from "./simulated.ts";
import { problemOfMaking, problemOfStart, refusalOf } from "./start.ts";
import { type LocalStatus, processCount } from "./status.ts";
import type { Turns } from "./turns.ts";
import { WorkspaceMark } from "./workspace-mark.ts";

export interface SandboxOptions {
  readonly id: string;
  /** Everything of this sandbox is below it. */
  readonly dir: string;
  readonly enclosure: Enclosure;
  readonly limits: Limits;
  readonly log: (line: string) => void;
  /** Of all sandboxes of the runtime. */
  readonly turns: Turns;
  /** Waits until one more may be started. */
  readonly makeRoom?: () => Promise<void>;
}

const FULL = "The sandbox had no room for one more process; all of them were ended and it was started afresh.";
const UNRESTORED = "The sandbox has to be restored first.";
const RESET = "The sandbox was reset, which ended everything in it.";
/** Fresh namespaces after the old ones were full, once for each call. */
const MAX_STARTS = 2;
const PORT_MS = 10_000;

interface Running extends Agent {
  readonly guest: Guest;
  readonly contexts: Contexts;
  readonly startedMs: number;
}

/** One caller's environment. Its processes come and go; its folders stay. */
export class LocalSandbox {
  readonly processes: Processes;
  readonly turns: Turns;
  /** The caller's files in it. */
  readonly mount = doOnce(async () => await this.#make(async () => await this.#openMount()));
  readonly #options: SandboxOptions;
  readonly #mark: WorkspaceMark;
  #restoring: Promise<unknown> = Promise.resolve();
  /** Until what it started is over. */
  #starting: Promise<Running> | undefined;
  /** What is running, once it does. */
  #current: Running | undefined;
  /** Resolves when nothing of what ran last is left. */
  #gone = Promise.resolve();
  #mustEmpty = false;
  #calls = 0;
  #lastUsedMs = performance.now();

  constructor(options: SandboxOptions) {
    this.#options = options;
    this.turns = options.turns;
    this.#mark = new WorkspaceMark(
      join(options.dir, "workspace.mark"),
      async () => await options.enclosure.diskIdentity(),
    );
    this.processes = new Processes(join(options.dir, "spool"), options.limits);
  }

  /** How long nothing was asked of it and no command ran. */
  get idleMs(): number {
    return this.#calls > 0 || this.processes.runningCount > 0 ? 0 : performance.now() - this.#lastUsedMs;
  }

  get isStarted(): boolean {
    return this.#starting !== undefined;
  }

  /** Counts as use while it runs; of a mere look nothing is left when it is over. */
  async use<Result>(work: () => Promise<Result>, { isLook = false } = {}): Promise<Result> {
    this.#calls += 1;
    try {
      return await work();
    } finally {
      this.#calls -= 1;
      if (!isLook) this.#lastUsedMs = performance.now();
    }
  }

  /** Starts a command. Where the sandbox is too full or too broken to start it, everything in it is ended first. */
  async start(request: CommandRequest, onOutput: (text: string) => void): Promise<SandboxProcess> {
    if (request.input !== "closed") this.#refuseWhereSimulated("Terminals and open inputs are");
    for (let tries = 1, note: string | undefined; ; tries++) {
      const { link, outOfMemoryKills } = await this.#running();
      const begin = (record: ProcessRecord): SandboxProcess =>
        new SandboxProcess(link, request, { record, live: new LiveOutput(onOutput), outOfMemoryKills });
      const process = await this.#make(async () => await this.processes.add(request, begin));
      const problem = await problemOfStart(process);
      if (problem === undefined) {
        if (note !== undefined) process.record.note(note);
        return process;
      }
      await this.processes.drop(process.record.id);
      const refused = refusalOf(problem, request);
      if (refused !== undefined) throw refused;
      if (tries === MAX_STARTS) {
        throw new Problem("unavailable", `The sandbox could not start a process (${problem}); try again.`);
      }
      note = problem === "ESILENT" ? SILENT : FULL;
      link.kill(note);
      await link.ended;
    }
  }

  async runCode(request: CodeRequest, live: LiveOutput, signal: AbortSignal): Promise<CodeRunResult> {
    this.#refuseWhereSimulated("Code contexts are");
    return await (await this.#running()).contexts.run(request, live, signal);
  }

  listContexts(): CodeContextInfo[] {
    return this.#current?.contexts.list() ?? [];
  }

  /** Whether something in it listens on that port. Does not wake it. */
  async isListening(port: number): Promise<boolean> {
    const answer = await this.#current?.link.ask(TO_AGENT.port, { port }, PORT_MS).catch(() => undefined);
    return z.object({ isListening: z.literal(true) }).safeParse(answer).success;
  }

  async status(): Promise<LocalStatus> {
    const { enclosure } = this.#options;
    const running = this.#current;
    if (running === undefined) return await enclosure.status(this.isStarted ? "starting" : "asleep");
    const { link, startedMs } = running;
    return await enclosure.status({ link, startedMs, commandCount: this.processes.runningCount });
  }

  /** Ends everything in it and empties its workspace, but for the caller's files. */
  async reset(): Promise<void> {
    this.#mustEmpty = true;
    await this.stop(RESET);
    if (!(await this.#options.enclosure.isUsed())) {
      this.#mustEmpty = false;
      return;
    }
    await this.#started();
    await this.#mark.endRestore();
  }

  /** How the workspace is, for its snapshots. */
  async look(): Promise<WorkspaceLook> {
    if (this.#options.enclosure.simulatedBecause !== undefined) return { state: "unable", reason: NO_SNAPSHOTS };
    if (!(await this.#isRestored())) return { state: "unrestored" };
    const { link } = await this.#running();
    const isBusy = processCount(link) > 0;
    const seen = await guestSnapshots(link).look();
    return "reason" in seen ? { state: "unable", ...seen } : { state: "ready", isBusy, ...seen };
  }

  /** The workspace as a snapshot. */
  async save(): Promise<AsyncGenerator<Uint8Array>> {
    return guestSnapshots((await this.#running()).link).save();
  }

  /** Fills an unrestored workspace; without a snapshot it begins as it is, but for half a restore. */
  async restore(body?: AsyncIterable<Uint8Array>): Promise<RestoreEnd> {
    const before = this.#restoring;
    const restoring = before.then(async () => await this.#restore(body));
    this.#restoring = restoring.catch(() => undefined);
    return await restoring;
  }

  async guest(): Promise<Guest> {
    return (await this.#running()).guest;
  }

  /** Ends all processes; the folders stay. */
  async stop(reason: string): Promise<void> {
    const running = await this.#starting?.catch(() => undefined);
    running?.link.kill(reason);
    await this.#gone;
  }

  async #openMount(): Promise<FilesMount> {
    await this.#isRestored();
    const { dir, enclosure, limits } = this.#options;
    const manifest = await Manifest.load(join(dir, "manifest.json"), await enclosure.prepare());
    return new FilesMount(manifest, limits, async () => await this.guest());
  }

  /** Throws `Problem` where it is unrestored: nothing may run in it then but what restores it. */
  async #running(): Promise<Running> {
    if (!(await this.#isRestored())) throw new Problem("unrestored", UNRESTORED);
    return await this.#started();
  }

  async #isRestored(): Promise<boolean> {
    return this.#options.enclosure.simulatedBecause !== undefined || (await this.#mark.isRestored());
  }

  async #restore(body: AsyncIterable<Uint8Array> | undefined): Promise<RestoreEnd> {
    if (await this.#isRestored()) throw new Problem("conflict", "The sandbox is restored already.");
    const { link, guest } = await this.#started();
    try {
      if (body !== undefined || (await this.#mark.isHalf())) {
        await this.#mark.beginRestore();
        await guest.empty("/workspace", "files");
      }
      const seen = body === undefined ? {} : await guestSnapshots(link).restore(body);
      if (seen === undefined) return { state: "damaged" };
      await this.#mark.endRestore();
      return { state: "restored", ...seen };
    } catch (error) {
      // Whatever of it is still at work must not meet the next.
      link.kill("The sandbox could not be restored.");
      await this.#gone;
      throw error;
    }
  }

  async #started(): Promise<Running> {
    const before = this.#starting;
    const known = await before?.catch(() => undefined);
    if (known?.link.isOpen === true) return known;
    // Several calls may have seen the end; the first starts afresh for all.
    if (this.#starting === before) this.#starting = undefined;
    this.#starting ??= this.#begin();
    return await this.#starting;
  }

  #begin(): Promise<Running> {
    const starting = this.#make(async () => await this.#boot());
    const forget = (): void => {
      if (this.#starting === starting) this.#starting = undefined;
    };
    void starting.then(async ({ link }) => await link.ended).then(forget, forget);
    return starting;
  }

  async #boot(): Promise<Running> {
    const { enclosure, makeRoom } = this.#options;
    await this.#isRestored();
    await makeRoom?.();
    const agent = await enclosure.start();
    this.#gone = agent.gone;
    const guest = guestFiles(agent.link);
    const contexts = new Contexts(agent.link, agent.outOfMemoryKills);
    const running = { ...agent, guest, contexts, startedMs: performance.now() };
    if (this.#mustEmpty) await this.#empty(agent.link, guest);
    this.#current = running;
    void agent.link.ended.then(() => {
      if (this.#current === running) this.#current = undefined;
      this.#mark.forget();
    });
    return running;
  }

  /** Throws `Problem` where what it needs of the machine cannot be had, and logs why. */
  async #make<Result>(work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      const { id, log } = this.#options;
      if (!(error instanceof Problem)) log(`sandbox ${id}: ${String(error)}`);
      throw problemOfMaking(error);
    }
  }

  async #empty(link: AgentLink, guest: Guest): Promise<void> {
    try {
      await guest.empty("/workspace", "files");
      this.#mustEmpty = false;
    } catch (error) {
      link.kill("The workspace could not be emptied.");
      throw error;
    }
  }

  /** Throws `Problem` with what it is that cannot be had, and why. */
  #refuseWhereSimulated(what: string): void {
    const reason = this.#options.enclosure.simulatedBecause;
    if (reason !== undefined) throw new Problem("unavailable", `${what} beyond the simulated shell. ${reason}`);
  }
}
