import { join } from "node:path";
import type { RestoreEnd, WorkspaceLook } from "../../../servers/sandbox/workspace.ts";
import type { Agent, Enclosure } from "./enclosure.ts";
import type { Guest } from "./guest-files.ts";
import { guestSnapshots } from "./guest-snapshots.ts";
import { Problem } from "./problem.ts";
import { NO_SNAPSHOTS } from "./simulated.ts";
import { processCount } from "./status.ts";
import { WorkspaceMark } from "./workspace-mark.ts";

interface Options {
  readonly dir: string;
  readonly enclosure: Enclosure;
}

type Started = Agent & { readonly guest: Guest };

/** What a sandbox holds at `/workspace` but for the caller's files, and whether that is what its caller left there. */
export class LocalWorkspace {
  readonly #mark: WorkspaceMark;
  readonly #isSimulated: boolean;
  readonly #isUsed: () => Promise<boolean>;
  /** Starts the sandbox, restored or not. */
  readonly #start: () => Promise<Started>;
  #restoring: Promise<unknown> = Promise.resolve();

  constructor({ dir, enclosure }: Options, start: () => Promise<Started>) {
    this.#mark = new WorkspaceMark(join(dir, "workspace.mark"), async () => await enclosure.diskIdentity());
    this.#isSimulated = enclosure.simulatedBecause !== undefined;
    this.#isUsed = async () => await enclosure.isUsed();
    this.#start = start;
  }

  /** Has to be asked before the sandbox's disk is made. */
  async isRestored(): Promise<boolean> {
    return this.#isSimulated || (await this.#mark.isRestored());
  }

  /** Whether its disk is another one than before. */
  async hasLostDisk(): Promise<boolean> {
    return await this.#mark.hasLostDisk();
  }

  /** Nothing runs on the disk any more, which may be taken away unseen. */
  forgetDisk(): void {
    this.#mark.forget();
  }

  /** All of it was removed, and was meant to be. */
  async beginEmptied(): Promise<void> {
    if (!this.#isSimulated) await this.#mark.endRestore();
  }

  async look(): Promise<WorkspaceLook> {
    if (this.#isSimulated) return { state: "unable", reason: NO_SNAPSHOTS };
    // What nobody has used is not made by a look.
    if (!(await this.#isUsed()) || !(await this.#mark.isRestored())) return { state: "unrestored" };
    const agent = await this.#start();
    const isBusy = processCount(agent.link) > 0;
    const seen = await guestSnapshots(agent).look();
    return "reason" in seen ? { state: "unable", ...seen } : { state: "ready", isBusy, ...seen };
  }

  async save(): Promise<AsyncGenerator<Uint8Array>> {
    if (this.#isSimulated) throw new Problem("unavailable", NO_SNAPSHOTS);
    if (!(await this.#mark.isRestored())) throw new Problem("conflict", "The sandbox lost its disk meanwhile.");
    return guestSnapshots(await this.#start()).save();
  }

  /** Fills an unrestored workspace; without a snapshot it begins as it is, but for half a restore. */
  async restore(body?: AsyncIterable<Uint8Array>): Promise<RestoreEnd> {
    const restoring = this.#restoring.then(async () => await this.#restore(body));
    this.#restoring = restoring.catch(() => undefined);
    return await restoring;
  }

  async #restore(body: AsyncIterable<Uint8Array> | undefined): Promise<RestoreEnd> {
    if (await this.isRestored()) throw new Problem("conflict", "The sandbox is restored already.");
    const agent = await this.#start();
    try {
      if (body !== undefined || (await this.#mark.isHalf())) {
        await this.#mark.beginRestore();
        await agent.guest.empty("/workspace", "files");
      }
      const seen = body === undefined ? {} : await guestSnapshots(agent).restore(body);
      if (seen === undefined) return { state: "damaged" };
      await this.#mark.endRestore();
      return { state: "restored", ...seen };
    } catch (error) {
      // Whatever of it is still at work must not meet the next.
      agent.link.kill("The sandbox could not be restored.");
      await agent.gone;
      throw error;
    }
  }
}
