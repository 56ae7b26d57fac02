import { randomBytes } from "node:crypto";
import { mkdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { AgentLink, SILENT } from "./agent-link.ts";
import { createCgroup, type SandboxCgroup } from "./cgroups.ts";
import { CodeContext, type CodeRequest, type CodeRunResult } from "./context.ts";
import { type Guest, guestFiles } from "./guest-files.ts";
import { jailCommand, makeSandboxFolder, openSocketToSandbox } from "./jail.ts";
import type { Limits } from "./limits.ts";
import { Manifest } from "./manifest.ts";
import { FilesMount } from "./mount.ts";
import { LiveOutput, type SpoolBudget } from "./output.ts";
import { type CommandRequest, SandboxProcess } from "./process.ts";
import { Problem } from "./problem.ts";
import { problemOfStart, refusalOf } from "./start.ts";
import { watchSandbox } from "./watch.ts";

export interface SandboxOptions {
  readonly id: string;
  /** Everything of this sandbox is below it. */
  readonly dir: string;
  readonly etcDir: string;
  readonly limits: Limits;
  readonly hasCgroups: boolean;
  readonly egressSocket?: string;
  readonly log: (line: string) => void;
}

const AGENT = ["/opt/node/bin/node", "--max-old-space-size=128", "--v8-pool-size=0", "/opt/pincer/agent.mjs"];
const FULL = "The sandbox had no room for one more process; all of them were ended and it was started afresh.";
const MAX_RUNNING = 512;
const MAX_ENDED = 256;
const MAX_CONTEXTS = 16;
/** Fresh namespaces after the old ones were full, once for each call. */
const MAX_STARTS = 2;

interface Running {
  readonly link: AgentLink;
  readonly guest: Guest;
  readonly cgroup: SandboxCgroup | undefined;
  readonly contexts: Map<string, CodeContext>;
}

/** One caller's environment. Its processes come and go; its folders stay. */
export class LocalSandbox {
  readonly #options: SandboxOptions;
  readonly #spoolBudget: SpoolBudget;
  readonly #processes = new Map<string, SandboxProcess>();
  #starting: Promise<Running> | undefined;
  #mount: Promise<FilesMount> | undefined;
  #calls = 0;
  #lastUsedMs = performance.now();

  constructor(options: SandboxOptions) {
    this.#options = options;
    this.#spoolBudget = { leftBytes: options.limits.totalSpoolBytes };
  }

  /** How long nothing was asked of it and no command ran. */
  get idleMs(): number {
    const isBusy = this.#calls > 0 || [...this.#processes.values()].some((process) => process.isRunning);
    return isBusy ? 0 : performance.now() - this.#lastUsedMs;
  }

  get isStarted(): boolean {
    return this.#starting !== undefined;
  }

  /** Counts as use while it runs. */
  async use<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#calls += 1;
    try {
      return await work();
    } finally {
      this.#calls -= 1;
      this.#lastUsedMs = performance.now();
    }
  }

  /** Starts a command. Where the sandbox is too full or too broken to start it, everything in it is ended first. */
  async start(request: CommandRequest, onOutput: (text: string) => void): Promise<SandboxProcess> {
    for (let tries = 1, note: string | undefined; ; tries++) {
      const { link, cgroup } = await this.#running();
      const process = await this.#spawn({ link, cgroup }, request, onOutput);
      const problem = await problemOfStart(process);
      if (problem === undefined) {
        if (note !== undefined) process.note(note);
        return process;
      }
      await this.#drop(process);
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

  /** Finds a process again, as long as it is remembered. */
  process(id: string): SandboxProcess {
    const found = this.#processes.get(id);
    if (found === undefined) {
      throw new Problem(
        "not_found",
        "There is no such process any more; what one has written is kept for a while only.",
      );
    }
    return found;
  }

  async runCode(request: CodeRequest, live: LiveOutput, signal: AbortSignal): Promise<CodeRunResult> {
    const { link, contexts } = await this.#running();
    const key = `${request.language}:${request.context}`;
    let context = contexts.get(key);
    if (context?.isOpen !== true) {
      for (const [name, old] of contexts) if (!old.isOpen) contexts.delete(name);
      if (contexts.size >= MAX_CONTEXTS) {
        throw new Problem("limit_reached", `There are ${MAX_CONTEXTS} code contexts already; use one of them.`);
      }
      context = new CodeContext(link, request.language);
      contexts.set(key, context);
    }
    return await context.run(request, live, signal);
  }

  async guest(): Promise<Guest> {
    return (await this.#running()).guest;
  }

  async mount(): Promise<FilesMount> {
    this.#mount ??= this.#openMount();
    return await this.#mount;
  }

  /** Ends all processes; the folders stay. */
  async stop(reason: string): Promise<void> {
    const running = await this.#starting?.catch(() => undefined);
    if (running === undefined) return;
    running.link.kill(reason);
    await running.link.ended;
    await running.cgroup?.remove();
  }

  async #openMount(): Promise<FilesMount> {
    await this.#makeFolders();
    // Numbers of folders are used again, so that the time of birth belongs to it.
    const { ino, birthtimeNs } = await stat(this.#folder("files"), { bigint: true });
    const manifest = await Manifest.load(join(this.#options.dir, "manifest.json"), `${ino}:${birthtimeNs}`);
    return new FilesMount(manifest, this.#options.limits, async () => await this.guest());
  }

  async #running(): Promise<Running> {
    const before = this.#starting;
    const known = await before?.catch(() => undefined);
    if (known?.link.isOpen === true) return known;
    // Several calls may have seen the end; the first starts afresh for all.
    if (this.#starting === before) this.#starting = undefined;
    this.#starting ??= this.#boot();
    return await this.#starting;
  }

  async #boot(): Promise<Running> {
    const { limits, log, etcDir, egressSocket, hasCgroups } = this.#options;
    await this.#makeFolders();
    const cgroup = hasCgroups ? createCgroup(`${process.pid}-${randomBytes(6).toString("hex")}`, limits) : undefined;
    try {
      const command = await jailCommand(
        {
          workspaceDir: this.#folder("workspace"),
          filesDir: this.#folder("files"),
          etcDir,
          limits,
          cgroupProcsFiles: cgroup?.procsFiles ?? [],
          isNice: cgroup?.limits.cpu !== true,
          ...(egressSocket !== undefined && (await openSocketToSandbox(egressSocket))),
        },
        AGENT,
      );
      const link = await AgentLink.start(command, log);
      const watch = watchSandbox({
        pid: link.pid,
        limits,
        cgroup,
        folders: [this.#folder("workspace"), this.#folder("files")],
        onBreach: (reason) => {
          log(`sandbox ${this.#options.id}: ${reason}`);
          link.kill(reason);
        },
      });
      void link.ended.then(async () => {
        watch.stop();
        await cgroup?.remove();
      });
      return { link, guest: guestFiles(link), cgroup, contexts: new Map() };
    } catch (error) {
      await cgroup?.remove();
      log(`sandbox ${this.#options.id}: ${String(error)}`);
      throw new Problem(
        "unavailable",
        "The sandbox did not start; try again, and see the log of npm start if it stays so.",
      );
    }
  }

  async #spawn(
    { link, cgroup }: Pick<Running, "link" | "cgroup">,
    request: CommandRequest,
    onOutput: (text: string) => void,
  ): Promise<SandboxProcess> {
    await this.#makeRoom();
    const process = new SandboxProcess(link, request, {
      id: randomBytes(12).toString("hex"),
      spoolDir: this.#folder("spool"),
      spoolBytes: this.#options.limits.spoolBytes,
      budget: this.#spoolBudget,
      live: new LiveOutput(onOutput),
      outOfMemoryKills: () => cgroup?.outOfMemoryKills() ?? 0,
    });
    this.#processes.set(process.id, process);
    return process;
  }

  /** Forgets the oldest ended commands where there are many, or where their outputs take the room of new ones. */
  async #makeRoom(): Promise<void> {
    const all = [...this.#processes.values()];
    if (all.filter((process) => process.isRunning).length >= MAX_RUNNING) {
      throw new Problem("limit_reached", `${MAX_RUNNING} commands are running; wait for some of them to end.`);
    }
    const ended = all.filter((process) => !process.isRunning);
    const needed = 2 * this.#options.limits.spoolBytes;
    for (let count = ended.length; count > 0 && (count > MAX_ENDED || this.#spoolBudget.leftBytes < needed); count--) {
      const oldest = ended.shift();
      if (oldest !== undefined) await this.#drop(oldest);
    }
  }

  async #drop(process: SandboxProcess): Promise<void> {
    this.#processes.delete(process.id);
    await process.forget();
  }

  async #makeFolders(): Promise<void> {
    await mkdir(this.#options.dir, { recursive: true, mode: 0o700 });
    await makeSandboxFolder(this.#folder("workspace"));
    await makeSandboxFolder(join(this.#folder("workspace"), "files"));
    await makeSandboxFolder(this.#folder("files"));
    await mkdir(this.#folder("spool"), { recursive: true, mode: 0o700 });
  }

  /** What a runtime before this one has kept is of no use: nobody knows its processes any more. */
  static async clearSpools(dir: string): Promise<void> {
    await rm(join(dir, "spool"), { recursive: true, force: true });
  }

  #folder(name: "workspace" | "files" | "spool"): string {
    return join(this.#options.dir, name);
  }
}
