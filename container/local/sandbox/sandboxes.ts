import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { removeStaleCgroups } from "./cgroups.ts";
import { canMountImages } from "./disk.ts";
import { jailProblem, makeSandboxFolder, prepareEtc } from "./jail.ts";
import { defaultLimits, type Limits } from "./limits.ts";
import { Problem } from "./problem.ts";
import { LocalSandbox } from "./sandbox.ts";

export interface SandboxesOptions {
  readonly dataDir: string;
  readonly egressSocket?: string;
  readonly limits?: Partial<Limits>;
  /** Off where a test must see what holds without them. */
  readonly hasCgroups?: boolean;
  readonly hasDiskImages?: boolean;
  readonly idleMs?: number;
  readonly log: (line: string) => void;
}

const IDLE_MS = 15 * 60_000;
const MAX_STARTED = 32;

/** All sandboxes of this machine, by id. */
export class Sandboxes {
  /** Why none can be started, in a sentence that says what to do. */
  readonly problem: string | undefined;
  readonly limits: Limits;
  readonly #options: SandboxesOptions;
  readonly #sandboxes = new Map<string, LocalSandbox>();
  readonly #ending = new Map<string, Promise<void>>();
  readonly #timer: NodeJS.Timeout;
  #canMountImages: Promise<boolean> | undefined;

  private constructor(options: SandboxesOptions, limits: Limits, problem: string | undefined) {
    this.#options = options;
    this.limits = limits;
    this.problem = problem;
    const idleMs = options.idleMs ?? IDLE_MS;
    this.#timer = setInterval(() => void this.#stopIdle(idleMs), Math.max(50, idleMs / 4));
    this.#timer.unref();
  }

  /** Tries what this machine allows. Leftovers of a runtime that was killed are removed. */
  static async open(options: SandboxesOptions): Promise<Sandboxes> {
    const { dataDir } = options;
    const limits = { ...defaultLimits(), ...options.limits };
    const all = join(dataDir, "sandboxes");
    await mkdir(all, { recursive: true, mode: 0o700 });
    removeStaleCgroups();
    const etcDir = join(dataDir, "sandbox-etc");
    await prepareEtc(etcDir);
    const probeDir = join(dataDir, "sandbox-probe");
    for (const folder of [probeDir, join(probeDir, "files")]) await makeSandboxFolder(folder);
    const problem = await jailProblem({
      workspaceDir: probeDir,
      filesDir: join(probeDir, "files"),
      etcDir,
      limits,
      cgroupProcsFiles: [],
      isNice: false,
    });
    return new Sandboxes(options, limits, problem);
  }

  async get(id: string): Promise<LocalSandbox> {
    if (this.problem !== undefined) throw new Problem("unavailable", this.problem);
    const known = this.#sandboxes.get(id);
    if (known !== undefined) return known;
    const { dataDir, egressSocket, hasCgroups = true, log } = this.#options;
    // Its successor has the same folders.
    await this.#ending.get(id);
    const sandbox = new LocalSandbox({
      id,
      dir: join(dataDir, "sandboxes", id),
      etcDir: join(dataDir, "sandbox-etc"),
      limits: this.limits,
      hasCgroups,
      hasDiskImages: async () => await this.#hasDiskImages(),
      ...(egressSocket !== undefined && { egressSocket }),
      log,
      makeRoom: async () => await this.#makeRoom(),
    });
    // Another call may have made it meanwhile.
    const won = this.#sandboxes.get(id) ?? sandbox;
    this.#sandboxes.set(id, won);
    return won;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    const stopping = [...this.#sandboxes.values()].map(
      async (sandbox) => await sandbox.stop("Pincer is being stopped."),
    );
    await Promise.all([...stopping, ...this.#ending.values()]);
  }

  async #hasDiskImages(): Promise<boolean> {
    const { dataDir, hasDiskImages = true } = this.#options;
    this.#canMountImages ??= hasDiskImages ? canMountImages(join(dataDir, "sandbox-probe")) : Promise.resolve(false);
    return await this.#canMountImages;
  }

  async #stopIdle(idleMs: number): Promise<void> {
    for (const [id, sandbox] of this.#sandboxes) if (sandbox.idleMs > idleMs) await this.#stop(id, sandbox);
  }

  async #makeRoom(): Promise<void> {
    // The one that asks is among them.
    const started = [...this.#sandboxes].filter(([, sandbox]) => sandbox.isStarted);
    if (started.length <= MAX_STARTED) return;
    const idle = started.filter(([, sandbox]) => sandbox.idleMs > 0);
    const [oldest] = idle.toSorted(([, a], [, b]) => b.idleMs - a.idleMs);
    if (oldest === undefined)
      throw new Problem("limit_reached", `${MAX_STARTED} sandboxes are busy on this machine; try again later.`);
    await this.#stop(...oldest);
  }

  async #stop(id: string, sandbox: LocalSandbox): Promise<void> {
    this.#sandboxes.delete(id);
    if (sandbox.isStarted) this.#options.log(`sandbox ${id}: ended, nothing was asked of it for a while`);
    const ending = sandbox
      .stop("The sandbox was ended because nothing was asked of it for a while.")
      .finally(() => this.#ending.delete(id));
    this.#ending.set(id, ending);
    await ending;
  }
}
