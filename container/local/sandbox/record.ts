import { appendFileSync, readFileSync, rmSync, statSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import type { OutputPosition, ProcessInfo } from "../../../servers/sandbox/process.ts";
import { Output, type SpoolBudget } from "./output.ts";
import type { Bytes } from "./bytes.ts";

const MAX_TOLD_COMMAND_CHARS = 2_000;
const SUFFIX = ".jsonl";
/** Most commands have ended by then, and are written down once. */
const BEGIN_MS = 50;

const startSchema = z.object({ command: z.string(), startedAtMs: z.number() });
const endSchema = z.object({
  exitCode: z.int(),
  signal: z.string().exactOptional(),
  hasTimedOut: z.boolean(),
  durationMs: z.number(),
  notes: z.array(z.string()),
  /** How much it had written. */
  stdout: z.int().nonnegative(),
  stderr: z.int().nonnegative(),
});

export interface Ending {
  readonly exitCode: number;
  readonly signal?: string;
}

export interface RecordOptions {
  readonly id: string;
  readonly folder: string;
  readonly maxChars: number;
  /** Told to nobody but who started it. */
  readonly isInternal: boolean;
  readonly spoolBytes: number;
  readonly budget: SpoolBudget;
}

type News = "output" | "end";

/**
 * What is known of one process, from its start until it is forgotten. Its outputs and how it ended lie in files, which
 * outlive the sandbox and the runtime: a line is written soon after its start and another at its end. Nobody waits for
 * either.
 */
export class ProcessRecord {
  readonly id: string;
  readonly command: string;
  readonly startedAtMs: number;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly isInternal: boolean;
  hasTimedOut = false;
  readonly #options: Pick<RecordOptions, "folder" | "budget">;
  readonly #startedMs = performance.now();
  readonly #notes: string[] = [];
  readonly #listeners = new Set<(news: News) => void>();
  #ending: (Ending & { readonly durationMs: number }) | undefined;
  #beginning: NodeJS.Timeout | undefined;
  #isWritten = false;
  #isForgotten = false;

  constructor(options: RecordOptions, command: string, before?: { readonly startedAtMs: number; readonly end?: End }) {
    this.id = options.id;
    this.isInternal = options.isInternal;
    this.#options = options;
    this.command =
      command.length > MAX_TOLD_COMMAND_CHARS ? `${command.slice(0, MAX_TOLD_COMMAND_CHARS - 1)}…` : command;
    this.startedAtMs = before?.startedAtMs ?? Date.now();
    const output = (name: "stdout" | "stderr"): Output => {
      const spoolPath = join(options.folder, `${options.id}.${name}`);
      const spooledBytes = before === undefined ? 0 : sizeOf(spoolPath);
      return new Output({
        spoolPath,
        maxChars: options.maxChars,
        maxSpoolBytes: options.spoolBytes,
        budget: options.budget,
        ...(before !== undefined && {
          before: { spooledBytes, totalBytes: Math.max(spooledBytes, before.end?.[name] ?? 0) },
        }),
      });
    };
    this.stdout = output("stdout");
    this.stderr = output("stderr");
  }

  /** One that an earlier runtime or sandbox has left, or nothing where its file is not readable. */
  static load(options: RecordOptions): ProcessRecord | undefined {
    const path = join(options.folder, options.id + SUFFIX);
    const [first, ...rest] = linesOf(path);
    const start = startSchema.safeParse(first);
    if (!start.success) return undefined;
    const end = endSchema.safeParse(rest.at(-1));
    const { command, startedAtMs } = start.data;
    const record = new ProcessRecord(options, command, { startedAtMs, ...(end.success && { end: end.data }) });
    record.#isWritten = true;
    if (end.success) {
      record.hasTimedOut = end.data.hasTimedOut;
      record.#notes.push(...end.data.notes);
      record.#ending = end.data;
    } else {
      record.note("It was running when Pincer was ended, and was ended with it.");
      // It wrote last, or was started, while it was alive.
      const seenAtMs = Math.max(...[path, record.stdout.spoolPath, record.stderr.spoolPath].map(changedAtMs));
      record.end({ exitCode: 137, signal: "SIGKILL" }, Math.max(0, seenAtMs - startedAtMs));
    }
    return record;
  }

  get isRunning(): boolean {
    return this.#ending === undefined;
  }

  get notes(): readonly string[] {
    return this.#notes;
  }

  /** The process is there. */
  begin(): void {
    this.#beginning = setTimeout(() => this.save(), BEGIN_MS);
  }

  push(stream: "stdout" | "stderr", bytes: Bytes): void {
    this[stream].push(bytes);
    this.#tell("output");
  }

  note(sentence: string): void {
    this.#notes.push(sentence);
  }

  /** Only the first end counts. */
  end(ending: Ending, durationMs = performance.now() - this.#startedMs): void {
    if (this.#ending !== undefined) return;
    this.#ending = { ...ending, durationMs };
    for (const output of [this.stdout, this.stderr]) output.end();
    this.#tell("end");
    setImmediate(() => this.save());
  }

  /** Writes down that it was started, how it ended, and how much it and what it left behind have written so far. */
  save(): void {
    clearTimeout(this.#beginning);
    if (this.#isForgotten || this.isInternal) return;
    const { command, startedAtMs } = this;
    const start: z.input<typeof startSchema> = { command, startedAtMs };
    const lines = [
      ...(this.#isWritten ? [] : [start]),
      ...(this.#ending === undefined ? [] : [this.#lastLine(this.#ending)]),
    ];
    this.#isWritten = true;
    try {
      appendFileSync(this.#path, lines.map((line) => `${JSON.stringify(line)}\n`).join(""), { mode: 0o600 });
    } catch {
      // The disk is full or the folder is gone: it is remembered as long as the runtime lives.
    }
  }

  #lastLine({ exitCode, signal, durationMs }: Ending & { readonly durationMs: number }): End {
    return {
      exitCode,
      ...(signal !== undefined && { signal }),
      hasTimedOut: this.hasTimedOut,
      durationMs,
      notes: this.#notes,
      stdout: this.stdout.totalBytes,
      stderr: this.stderr.totalBytes,
    };
  }

  info(): ProcessInfo {
    const ending = this.#ending;
    return {
      processId: this.id,
      command: this.command,
      startedAtMs: this.startedAtMs,
      isRunning: ending === undefined,
      ...(ending !== undefined && {
        exitCode: ending.exitCode,
        ...(ending.signal !== undefined && { signal: ending.signal }),
      }),
      hasTimedOut: this.hasTimedOut,
      durationMs: ending?.durationMs ?? performance.now() - this.#startedMs,
    };
  }

  position(): OutputPosition {
    return { stdout: this.stdout.totalBytes, stderr: this.stderr.totalBytes };
  }

  /** Calls back at each output and at the end, until the answer is called. */
  listen(onNews: (news: News) => void): () => void {
    this.#listeners.add(onNews);
    return () => this.#listeners.delete(onNews);
  }

  /** Its result is told: what only that needed need not be kept. */
  release(): void {
    for (const output of [this.stdout, this.stderr]) output.release();
  }

  /** Removes what is stored of it. */
  async forget(): Promise<void> {
    this.#isForgotten = true;
    clearTimeout(this.#beginning);
    for (const output of [this.stdout, this.stderr]) {
      output.stopSpooling();
      this.#options.budget.leftBytes += output.spooledBytes;
      // Most commands say little or nothing; to give back megabytes takes the disk some time.
      if (output.spooledBytes > 0) await rm(output.spoolPath, { force: true });
    }
    rmSync(this.#path, { force: true });
  }

  get #path(): string {
    return join(this.#options.folder, this.id + SUFFIX);
  }

  #tell(news: News): void {
    for (const listener of [...this.#listeners]) listener(news);
  }
}

type End = z.output<typeof endSchema>;

/** The ids of the records in a folder. */
export function recordIds(names: readonly string[]): string[] {
  return names.filter((name) => name.endsWith(SUFFIX)).map((name) => name.slice(0, -SUFFIX.length));
}

/** A line that the disk had no room for is none. */
function linesOf(path: string): unknown[] {
  const parse = (line: string): unknown[] => {
    try {
      return [JSON.parse(line)];
    } catch {
      return [];
    }
  };
  try {
    return readFileSync(path, "utf8").split("\n").flatMap(parse);
  } catch {
    return [];
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

function changedAtMs(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
