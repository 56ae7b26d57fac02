import { randomBytes } from "node:crypto";
import { lstat, mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { AgentLink, SILENT } from "./agent-link.ts";
import { createCgroup, type SandboxCgroup } from "./cgroups.ts";
import type { CodeRunResult } from "./code-result.ts";
import type { CodeRequest } from "./context.ts";
import { type ContextInfo, Contexts } from "./contexts.ts";
import { DISK_FOLDER, makeDiskImage } from "./disk.ts";
import { type Guest, guestFiles } from "./guest-files.ts";
import { TO_AGENT } from "./inside/frames.mjs";
import { jailCommand, makeSandboxFolder, openSocketToSandbox } from "./jail.ts";
import type { Limits } from "./limits.ts";
import { LiveOutput } from "./live-output.ts";
import { Manifest } from "./manifest.ts";
import { FilesMount } from "./mount.ts";
import { Processes } from "./processes.ts";
import { type CommandRequest, SandboxProcess } from "./process.ts";
import { Problem } from "./problem.ts";
import { problemOfStart, refusalOf } from "./start.ts";
import { type SandboxStatus, statusOf } from "./status.ts";
import { watchSandbox } from "./watch.ts";

export interface SandboxOptions {
  readonly id: string;
  /** Everything of this sandbox is below it. */
  readonly dir: string;
  readonly etcDir: string;
  readonly limits: Limits;
  readonly hasCgroups: boolean;
  /** Whether a new sandbox gets a disk of its own. */
  readonly hasDiskImages: () => Promise<boolean>;
  readonly egressSocket?: string;
  readonly log: (line: string) => void;
  /** Waits until one more may be started. */
  readonly makeRoom?: () => Promise<void>;
}

const AGENT = ["/opt/node/bin/node", "--max-old-space-size=128", "--v8-pool-size=0", "/opt/pincer/agent.mjs"];
const FULL = "The sandbox had no room for one more process; all of them were ended and it was started afresh.";
const RESET = "The sandbox was reset, which ended everything in it.";
/** Fresh namespaces after the old ones were full, once for each call. */
const MAX_STARTS = 2;
const PORT_MS = 10_000;

export interface Running {
  readonly link: AgentLink;
  readonly guest: Guest;
  readonly cgroup: SandboxCgroup | undefined;
  readonly contexts: Contexts;
  readonly startedMs: number;
}

/** One caller's environment. Its processes come and go; its folders stay. */
export class LocalSandbox {
  readonly processes: Processes;
  readonly #options: SandboxOptions;
  #starting: Promise<Running> | undefined;
  /** What is running, once it does. */
  #current: Running | undefined;
  #mount: Promise<FilesMount> | undefined;
  #disk: Promise<{ readonly image?: string }> | undefined;
  #mustEmpty = false;
  #calls = 0;
  #lastUsedMs = performance.now();

  constructor(options: SandboxOptions) {
    this.#options = options;
    this.processes = new Processes(this.#folder("spool"), options.limits);
  }

  /** How long nothing was asked of it and no command ran. */
  get idleMs(): number {
    return this.#calls > 0 || this.processes.isBusy ? 0 : performance.now() - this.#lastUsedMs;
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
      const process = await this.processes.add(request.command, request.maxChars, (record) => {
        const outOfMemoryKills = (): number => cgroup?.outOfMemoryKills() ?? 0;
        return new SandboxProcess(link, request, { record, live: new LiveOutput(onOutput), outOfMemoryKills });
      });
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
    return await (await this.#running()).contexts.run(request, live, signal);
  }

  listContexts(): ContextInfo[] {
    return this.#current?.contexts.list() ?? [];
  }

  /** Whether something in it listens on that port. Does not wake it. */
  async isListening(port: number): Promise<boolean> {
    const answer = await this.#current?.link.ask(TO_AGENT.port, { port }, PORT_MS).catch(() => undefined);
    return z.object({ isListening: z.literal(true) }).safeParse(answer).success;
  }

  async status(): Promise<SandboxStatus> {
    const { limits } = this.#options;
    const isStarting = this.#starting !== undefined && this.#current === undefined;
    const image = await lstat(this.#imagePath).catch(() => undefined);
    const plain = [this.#folder("workspace"), this.#folder("files")];
    return await statusOf({ running: this.#current, isStarting, folders: image === undefined ? plain : [], limits });
  }

  /** Ends everything in it and empties its workspace, but for the caller's files. */
  async reset(): Promise<void> {
    this.#mustEmpty = true;
    await this.stop(RESET);
    const isUsed = await Promise.any([lstat(this.#folder("workspace")), lstat(this.#imagePath)]).catch(() => false);
    if (isUsed === false) this.#mustEmpty = false;
    else await this.#running();
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
    const { image } = await this.#prepareDisk();
    // Numbers of folders are used again, so that the time of birth belongs to it.
    const { ino, birthtimeNs } = await stat(image ?? this.#folder("files"), { bigint: true });
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
    const { limits, log, hasCgroups, makeRoom } = this.#options;
    await makeRoom?.();
    const cgroup = hasCgroups ? createCgroup(`${process.pid}-${randomBytes(6).toString("hex")}`, limits) : undefined;
    try {
      const link = await this.#startAgent(cgroup);
      const guest = guestFiles(link);
      const contexts = new Contexts(link, () => cgroup?.outOfMemoryKills() ?? 0);
      const running = { link, guest, cgroup, contexts, startedMs: performance.now() };
      if (this.#mustEmpty) await guest.empty("/workspace", "files");
      this.#mustEmpty = false;
      this.#current = running;
      void link.ended.then(async () => {
        if (this.#current === running) this.#current = undefined;
        await cgroup?.remove();
      });
      return running;
    } catch (error) {
      await cgroup?.remove();
      log(`sandbox ${this.#options.id}: ${String(error)}`);
      throw new Problem(
        "unavailable",
        "The sandbox did not start; try again, and see the log of npm start if it stays so.",
      );
    }
  }

  async #startAgent(cgroup: SandboxCgroup | undefined): Promise<AgentLink> {
    const { id, limits, log, etcDir, egressSocket } = this.#options;
    const { image } = await this.#prepareDisk();
    const [workspaceDir, filesDir] =
      image === undefined
        ? [this.#folder("workspace"), this.#folder("files")]
        : [`${DISK_FOLDER}/workspace`, `${DISK_FOLDER}/files`];
    const command = await jailCommand(
      {
        ...(image !== undefined && { diskImage: image }),
        ...{ workspaceDir, filesDir, etcDir, limits },
        cgroupProcsFiles: cgroup?.procsFiles ?? [],
        isNice: cgroup?.limits.cpu !== true,
        ...(egressSocket !== undefined && (await openSocketToSandbox(egressSocket))),
      },
      AGENT,
    );
    const link = await AgentLink.start(command, log);
    const onBreach = (reason: string): void => {
      log(`sandbox ${id}: ${reason}`);
      link.kill(reason);
    };
    const isDiskLimited = image !== undefined;
    const folders = isDiskLimited ? [this.#options.dir] : [workspaceDir, filesDir];
    const watch = watchSandbox({ pid: link.pid, limits, cgroup, folders, isDiskLimited, onBreach });
    void link.ended.then(() => watch.stop());
    return link;
  }

  async #prepareDisk(): Promise<{ readonly image?: string }> {
    this.#disk ??= this.#makeDisk().catch((error: unknown) => {
      this.#disk = undefined;
      throw error;
    });
    return await this.#disk;
  }

  /** A sandbox that was made without a disk of its own keeps its folders. */
  async #makeDisk(): Promise<{ readonly image?: string }> {
    const isThere = async (path: string): Promise<boolean> => (await lstat(path).catch(() => undefined)) !== undefined;
    await mkdir(this.#options.dir, { recursive: true, mode: 0o700 });
    if (await isThere(this.#imagePath)) return { image: this.#imagePath };
    if ((await isThere(this.#folder("workspace"))) || !(await this.#options.hasDiskImages())) {
      await this.#makeFolders();
      return {};
    }
    await makeDiskImage(this.#imagePath, this.#options.limits.diskBytes);
    return { image: this.#imagePath };
  }

  get #imagePath(): string {
    return join(this.#options.dir, "disk.img");
  }

  async #makeFolders(): Promise<void> {
    await makeSandboxFolder(this.#folder("workspace"));
    await makeSandboxFolder(join(this.#folder("workspace"), "files"));
    await makeSandboxFolder(this.#folder("files"));
  }

  #folder(name: "workspace" | "files" | "spool"): string {
    return join(this.#options.dir, name);
  }
}
