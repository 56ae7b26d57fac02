import { randomBytes } from "node:crypto";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { ProcessInfo } from "../../../servers/sandbox/process.ts";
import type { Limits } from "./limits.ts";
import { doOnce } from "./do-once.ts";
import type { SpoolBudget } from "./output.ts";
import { Problem } from "./problem.ts";
import type { CommandRequest, SandboxProcess } from "./process.ts";
import { ProcessRecord, recordIds, type RecordOptions } from "./record.ts";

const MAX_RUNNING = 512;
const MAX_ENDED = 256;

interface Entry {
  readonly record: ProcessRecord;
  /** Absent for one of an earlier sandbox or runtime. */
  readonly process?: SandboxProcess;
}

/** The processes of one sandbox that run or are remembered, in the order of their start. */
export class Processes {
  readonly #folder: string;
  readonly #limits: Pick<Limits, "spoolBytes" | "totalSpoolBytes">;
  readonly #budget: SpoolBudget;
  readonly #entries = new Map<string, Entry>();
  readonly #load = doOnce(async () => await this.#read());
  readonly #makeFolder = doOnce(async () => await mkdir(this.#folder, { recursive: true, mode: 0o700 }));

  constructor(folder: string, limits: Pick<Limits, "spoolBytes" | "totalSpoolBytes">) {
    this.#folder = folder;
    this.#limits = limits;
    this.#budget = { leftBytes: limits.totalSpoolBytes };
  }

  get runningCount(): number {
    return [...this.#entries.values()].filter(({ process, record }) => process !== undefined && record.isRunning)
      .length;
  }

  /** Makes a process with a record of its own; `start` begins it. */
  async add(
    request: Pick<CommandRequest, "command" | "maxChars" | "isInternal">,
    start: (record: ProcessRecord) => SandboxProcess,
  ): Promise<SandboxProcess> {
    await this.#load();
    await this.#makeRoom();
    await this.#makeFolder();
    const id = randomBytes(12).toString("hex");
    const process = start(new ProcessRecord(this.#optionsOf(id, request), request.command));
    this.#entries.set(id, { record: process.record, process });
    return process;
  }

  async drop(id: string): Promise<void> {
    const entry = this.#entries.get(id);
    this.#entries.delete(id);
    entry?.process?.close();
    await entry?.record.forget();
  }

  /** Finds a process again, as long as it is remembered. */
  async find(id: string): Promise<Entry> {
    await this.#load();
    const found = this.#entries.get(id);
    if (found === undefined) {
      throw new Problem(
        "not_found",
        "There is no such process any more; what one has written is kept for a while only.",
      );
    }
    return found;
  }

  /** Newest first. */
  async list(): Promise<ProcessInfo[]> {
    await this.#load();
    const listed = [...this.#entries.values()].filter(({ record }) => !record.isInternal);
    return listed.map(({ record }) => record.info()).toReversed();
  }

  /** What earlier sandboxes and runtimes have left. */
  async #read(): Promise<void> {
    const names = await readdir(this.#folder).catch((error: unknown) => {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
      throw error;
    });
    const records = recordIds(names)
      .flatMap((id) => ProcessRecord.load(this.#optionsOf(id, { maxChars: 1, isInternal: false })) ?? [])
      .toSorted((a, b) => a.startedAtMs - b.startedAtMs);
    const ids = new Set(records.map(({ id }) => id));
    const strays = names.filter((name) => !ids.has(name.slice(0, name.indexOf("."))));
    for (const name of strays) await rm(join(this.#folder, name), { force: true });
    for (const record of records) {
      this.#entries.set(record.id, { record });
      this.#budget.leftBytes -= record.stdout.spooledBytes + record.stderr.spooledBytes;
    }
  }

  /** Forgets the oldest ended commands where there are many, or where their outputs take the room of new ones. */
  async #makeRoom(): Promise<void> {
    const ended = [...this.#entries.values()].filter(({ record }) => !record.isRunning);
    if (this.#entries.size - ended.length >= MAX_RUNNING) {
      throw new Problem("limit_reached", `${MAX_RUNNING} commands are running; wait for some of them to end.`);
    }
    const needed = 2 * this.#limits.spoolBytes;
    for (let count = ended.length; count > 0 && (count > MAX_ENDED || this.#budget.leftBytes < needed); count--) {
      const oldest = ended.shift();
      if (oldest !== undefined) await this.drop(oldest.record.id);
    }
  }

  #optionsOf(id: string, { maxChars, isInternal }: Pick<CommandRequest, "maxChars" | "isInternal">): RecordOptions {
    const { spoolBytes } = this.#limits;
    return { id, folder: this.#folder, maxChars, isInternal, spoolBytes, budget: this.#budget };
  }
}
