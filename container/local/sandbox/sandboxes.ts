import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { CHROME_FOLDER } from "../chrome/bundled.ts";
import { removeStaleCgroups } from "./cgroups.ts";
import { bubblewrapEnclosure } from "./bubblewrap.ts";
import { canMountImages } from "./disk.ts";
import type { Enclosure } from "./enclosure.ts";
import { type JailOptions, jailProblem, makeSandboxFolder, mayOpenLowPorts, prepareEtc } from "./jail.ts";
import { defaultLimits, type Limits } from "./limits.ts";
import { Problem } from "./problem.ts";
import { LocalSandbox } from "./sandbox.ts";
import { hasSeccompFilter } from "./seccomp.ts";
import { simulatedEnclosure } from "./simulated.ts";
import { emptyTrash } from "./trash.ts";
import { Turns } from "./turns.ts";

export interface SandboxesOptions {
  readonly dataDir: string;
  /** Absent for the simulated shell where the local one cannot be. */
  readonly driver?: "local" | "simulated";
  /** Why it is simulated, where a runtime before this one found that out. */
  readonly simulatedBecause?: string;
  readonly egressSocket?: string;
  /** PEM: what programs in the sandboxes trust, where that is not what this machine does. */
  readonly caBundle?: string;
  readonly limits?: Partial<Limits>;
  /** Off where a test must see what holds without them. */
  readonly hasCgroups?: boolean;
  readonly hasDiskImages?: boolean;
  readonly hasLowPorts?: boolean;
  readonly idleMs?: number;
  readonly log: (line: string) => void;
}

const IDLE_MS = 15 * 60_000;
const MAX_STARTED = 32;
const ETC_FOLDER = "sandbox-etc";
const TRASH_FOLDER = "sandbox-trash";
const IDLE = "The sandbox was ended because nothing was asked of it for a while.";
const ASKED_FOR = "It was asked for by --driver simulated; leave that out for real sandboxes.";
const NO_LINUX =
  "bubblewrap, which makes real sandboxes, needs Linux: for those, run Pincer in a Linux virtual machine.";

/** All sandboxes of this machine, by id. */
export class Sandboxes {
  /** Why the simulated shell stands in, in a sentence that says what to do; absent where sandboxes are real. */
  readonly simulatedBecause: string | undefined;
  readonly limits: Limits;
  readonly #options: SandboxesOptions;
  readonly #sandboxes = new Map<string, LocalSandbox>();
  readonly #turns = new Turns();
  readonly #ending = new Map<string, Promise<void>>();
  readonly #timer: NodeJS.Timeout;
  readonly #canMountImages: Promise<boolean>;
  readonly #hasLowPorts: Promise<boolean>;
  readonly #trashDir: string;
  readonly #trashEmptied: Promise<void>;

  private constructor(options: SandboxesOptions, limits: Limits, simulatedBecause: string | undefined) {
    this.#options = options;
    this.limits = limits;
    this.simulatedBecause = simulatedBecause;
    const idleMs = options.idleMs ?? IDLE_MS;
    this.#timer = setInterval(() => void this.#stopIdle(idleMs), Math.max(50, idleMs / 4));
    this.#timer.unref();
    // Found out while nobody waits for it.
    const mayMountImages = simulatedBecause === undefined && options.hasDiskImages !== false;
    this.#canMountImages = mayMountImages
      ? canMountImages(join(options.dataDir, "sandbox-probe"))
      : Promise.resolve(false);
    this.#hasLowPorts =
      simulatedBecause === undefined && options.egressSocket !== undefined && options.hasLowPorts !== false
        ? mayOpenLowPorts(probeJail(options.dataDir, limits))
        : Promise.resolve(false);
    this.#trashDir = join(options.dataDir, TRASH_FOLDER);
    this.#trashEmptied = emptyTrash(this.#trashDir).catch((error: unknown) =>
      options.log(`Removed sandboxes are still on the disk: ${String(error)}`),
    );
  }

  /** Tries what this machine allows. Throws `Problem` where that is not the driver that is asked for. */
  static async open(options: SandboxesOptions): Promise<Sandboxes> {
    const { dataDir, driver, simulatedBecause = ASKED_FOR } = options;
    const limits = { ...defaultLimits(), ...options.limits };
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    if (driver === "simulated") return new Sandboxes(options, limits, simulatedBecause);
    // Of a runtime that was killed.
    if (process.platform === "linux") removeStaleCgroups();
    const problem = await whyNoJails(options, limits);
    if (driver === "local" && problem !== undefined) throw new Problem("unavailable", problem);
    return new Sandboxes(options, limits, problem);
  }

  async get(id: string): Promise<LocalSandbox> {
    const known = this.#sandboxes.get(id);
    if (known !== undefined) {
      const hasLostDisk = await known.hasLostDisk();
      if (hasLostDisk) await this.#stop(id, known);
      // It may have been ended meanwhile.
      else if (this.#sandboxes.get(id) === known) return known;
    }
    // Its successor has the same folders.
    await this.#ending.get(id);
    const { dataDir, log } = this.#options;
    // Each driver has folders of its own: in the other's there may be links, and files of another user.
    const dir = join(dataDir, this.simulatedBecause === undefined ? "sandboxes" : "simulated", id);
    const sandbox = new LocalSandbox({
      ...{ id, dir, limits: this.limits, turns: this.#turns, log },
      enclosure: this.#enclosure(id, dir),
      makeRoom: async () => await this.#makeRoom(),
    });
    // Another call may have made it meanwhile.
    const won = this.#sandboxes.get(id) ?? sandbox;
    this.#sandboxes.set(id, won);
    return won;
  }

  /** Ends everything in a sandbox; its folders stay. */
  async end(id: string): Promise<void> {
    const sandbox = this.#sandboxes.get(id);
    if (sandbox?.isStarted === true)
      await this.#stop(id, sandbox, "The sandbox was put to sleep, which ended everything in it.");
  }

  /** Ends a sandbox and takes its folders away: what has that id afterwards is another one. */
  async remove(id: string): Promise<void> {
    const sandbox = await this.get(id);
    this.#sandboxes.delete(id);
    await this.#ended(id, sandbox.remove(this.#trashDir));
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    const stopping = [...this.#sandboxes.values()].map(
      async (sandbox) => await sandbox.stop("Pincer is being stopped."),
    );
    const probes = [this.#canMountImages, this.#hasLowPorts];
    await Promise.all([...stopping, ...this.#ending.values(), ...probes, this.#trashEmptied]);
  }

  #enclosure(id: string, dir: string): Enclosure {
    const { dataDir, egressSocket, hasCgroups = true, log } = this.#options;
    const { limits, simulatedBecause: reason } = this;
    if (reason !== undefined) return simulatedEnclosure({ dir, limits, reason, log });
    return bubblewrapEnclosure({
      ...{ id, dir, limits, hasCgroups, log },
      etcDir: join(dataDir, ETC_FOLDER),
      chromeParent: join(dataDir, CHROME_FOLDER),
      hasDiskImages: async () => await this.#canMountImages,
      hasLowPorts: async () => await this.#hasLowPorts,
      ...(egressSocket !== undefined && { egressSocket }),
    });
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

  async #stop(id: string, sandbox: LocalSandbox, reason = IDLE): Promise<void> {
    if (this.#sandboxes.get(id) === sandbox) this.#sandboxes.delete(id);
    if (sandbox.isStarted) this.#options.log(`sandbox ${id}: ${reason}`);
    await this.#ended(id, sandbox.stop(reason));
  }

  /** Whoever asks for that sandbox meanwhile waits. */
  async #ended(id: string, work: Promise<void>): Promise<void> {
    const ending = work.finally(() => this.#ending.delete(id));
    // What becomes of it is told to who began it.
    this.#ending.set(
      id,
      ending.catch(() => undefined),
    );
    await ending;
  }
}

/** Why no real sandbox can be started here, tried with what is made in `dataDir` for it. */
export async function whyNoJails(
  { dataDir, caBundle }: Pick<SandboxesOptions, "dataDir" | "caBundle">,
  limits: Limits = defaultLimits(),
): Promise<string | undefined> {
  if (process.platform !== "linux") return NO_LINUX;
  if (!hasSeccompFilter(process.arch)) return `There is no seccomp filter for ${process.arch} processors yet.`;
  const options = probeJail(dataDir, limits);
  await prepareEtc(options.etcDir, caBundle);
  for (const folder of [options.workspaceDir, options.filesDir]) await makeSandboxFolder(folder);
  return await jailProblem(options);
}

/** An empty sandbox, to try things with. */
function probeJail(dataDir: string, limits: Limits): JailOptions {
  const workspaceDir = join(dataDir, "sandbox-probe");
  const folders = { workspaceDir, filesDir: join(workspaceDir, "files"), etcDir: join(dataDir, ETC_FOLDER) };
  return { ...folders, limits, cgroupProcsFiles: [], isNice: false };
}
