import { join } from "node:path";
import type { Duplex } from "node:stream";
import * as z from "zod";
import type { CodeContextInfo } from "../../../servers/sandbox/driver.ts";
import { type AgentLink, SILENT } from "./agent-link.ts";
import type { CodeRunResult } from "./code-result.ts";
import type { CodeRequest } from "./context.ts";
import { Contexts } from "./contexts.ts";
import { Connections } from "./dial.ts";
import { doOnce } from "./do-once.ts";
import type { Agent, Enclosure } from "./enclosure.ts";
import { type Guest, guestFiles } from "./guest-files.ts";
import { TO_AGENT } from "./inside/frames.mjs";
import type { Limits } from "./limits.ts";
import { LiveOutput } from "./live-output.ts";
import { Manifest } from "./manifest.ts";
import { FilesMount } from "./mount.ts";
import { Processes } from "./processes.ts";
import { type CommandRequest, SandboxProcess } from "./process.ts";
import { Problem } from "./problem.ts";
import type { ProcessRecord } from "./record.ts";
import { problemOfMaking, problemOfStart, refusalOf } from "./start.ts";
import type { LocalStatus } from "./status.ts";
import { throwAway } from "./trash.ts";
import type { Turns } from "./turns.ts";
import { wake } from "./wake.ts";
import { LocalWorkspace } from "./workspace.ts";

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
const REMOVED = "The sandbox was removed, which ended everything in it.";
const RESET = "The sandbox was reset, which ended everything in it.";
/** Fresh namespaces after the old ones were full, once for each call. */
const MAX_STARTS = 2;
const PORT_MS = 10_000;

interface Running extends Agent {
  readonly guest: Guest;
  readonly contexts: Contexts;
  readonly startedMs: number;
  readonly wake: () => Promise<void>;
}

/** One caller's environment. Its processes come and go; its folders stay. */
export class LocalSandbox {
  readonly processes: Processes;
  readonly turns: Turns;
  readonly workspace: LocalWorkspace;
  /** The caller's files in it. */
  readonly mount = doOnce(async () => await this.#make(async () => await this.#openMount()));
  readonly #options: SandboxOptions;
  /** Until what it started is over. */
  #starting: Promise<Running> | undefined;
  /** What is running, once it does. */
  #current: Running | undefined;
  /** Resolves when nothing of what ran last is left. */
  #gone = Promise.resolve();
  #mustEmpty = false;
  #isRemoved = false;
  readonly #connections = new Connections();
  #calls = 0;
  #lastUsedMs = performance.now();

  constructor(options: SandboxOptions) {
    this.#options = options;
    this.turns = options.turns;
    this.workspace = new LocalWorkspace(options, async () => await this.#started());
    this.processes = new Processes(join(options.dir, "spool"), options.limits);
  }

  /** How long nothing was asked of it and no command ran. */
  get idleMs(): number {
    return this.#calls > 0 || this.processes.runningCount > 0 ? 0 : performance.now() - this.#lastUsedMs;
  }

  get isStarted(): boolean {
    return this.#starting !== undefined;
  }

  /** Whether its folders were taken away while it was asleep: then it is another sandbox from now on. */
  async hasLostDisk(): Promise<boolean> {
    return !this.isStarted && (await this.workspace.hasLostDisk());
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

  /**
   * Connects to what listens on that port inside; nothing where the sandbox is asleep, which it stays. Rejects with
   * `AgentRefusal` where nothing listens.
   */
  async dial(port: number): Promise<Duplex | undefined> {
    this.#refuseWhereSimulated("Ports are");
    const link = this.#current?.link;
    return link?.isOpen === true ? await this.#connections.dial(link, port) : undefined;
  }

  /** Ends all that is connected to that port from outside. */
  hangUp(port: number): void {
    this.#connections.hangUp(port);
  }

  /** What is to be found at that port. */
  async lookAtPort(port: number): Promise<"asleep" | "listening" | "closed"> {
    this.#refuseWhereSimulated("Ports are");
    if (this.#current === undefined) return "asleep";
    return (await this.isListening(port)) ? "listening" : "closed";
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
    if (!(await this.isUsed())) {
      this.#mustEmpty = false;
      return;
    }
    await this.#started();
    await this.workspace.beginEmptied();
  }

  /** Whether anything is kept in it. */
  async isUsed(): Promise<boolean> {
    return await this.#options.enclosure.isUsed();
  }

  /** Ends everything in it and takes its folders away. Of what is still asked of it nothing is done. */
  async remove(trashDir: string): Promise<void> {
    this.#isRemoved = true;
    await this.stop(REMOVED);
    await throwAway(this.#options.dir, trashDir);
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
    await this.workspace.isRestored();
    const { dir, enclosure, limits } = this.#options;
    const manifest = await Manifest.load(join(dir, "manifest.json"), await enclosure.prepare());
    return new FilesMount(manifest, limits, async () => await this.guest());
  }

  /** Throws `Problem` where it is unrestored: nothing may run in it then but what restores it. */
  async #running(): Promise<Running> {
    const isRestored = await this.#make(async () => await this.workspace.isRestored());
    if (!isRestored) throw new Problem("unrestored", UNRESTORED);
    const running = await this.#started();
    // Nobody waits for it. A mere look does not do it: busy with what that started, the sandbox would never sleep.
    void running.wake();
    return running;
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
    await this.workspace.isRestored();
    await makeRoom?.();
    const agent = await enclosure.start();
    this.#gone = agent.gone;
    const guest = guestFiles(agent.link);
    const contexts = new Contexts(agent.link, agent.outOfMemoryKills);
    const wakeOnce = doOnce(async () => await wake(agent, this.processes, this.#options));
    const running = { ...agent, guest, contexts, startedMs: performance.now(), wake: wakeOnce };
    if (this.#mustEmpty) await this.#empty(agent.link, guest);
    this.#current = running;
    void agent.link.ended.then(() => {
      if (this.#current === running) this.#current = undefined;
      this.workspace.forgetDisk();
    });
    return running;
  }

  /** Throws `Problem` where what it needs of the machine cannot be had, and logs why. */
  async #make<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#isRemoved) throw new Problem("unavailable", "The sandbox was just removed; try again for a fresh one.");
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
