import { closeSync, openSync, writeSync } from "node:fs";
import { type Bytes, concatBytes, copyBytes, decode, encode, NO_BYTES } from "./bytes.ts";

export interface CapturedText {
  readonly text: string;
  readonly totalBytes: number;
  readonly isCut: boolean;
}

/** The disk that a sandbox's stored outputs may still take. */
export interface SpoolBudget {
  leftBytes: number;
}

export interface OutputOptions {
  readonly spoolPath: string;
  readonly maxChars: number;
  readonly maxSpoolBytes: number;
  readonly budget: SpoolBudget;
}

const HEAD_SHARE = 0.6;
const MAX_UTF8_BYTES = 4;
const MIN_KEPT_BYTES = 256;
const MAX_TAIL_PIECES = 1_000;

/**
 * One output of a process: its head and tail in memory, its beginning in a file, and the rest counted. Memory stays
 * flat however much comes, and whoever writes is never held up.
 */
export class Output {
  readonly spoolPath: string;
  readonly #options: OutputOptions;
  readonly #keptBytes: number;
  readonly #head: Bytes[] = [];
  #headBytes = 0;
  #tail: Bytes[] = [];
  #tailBytes = 0;
  #totalBytes = 0;
  #spool: number | undefined;
  #spooledBytes = 0;
  #isSpooling: boolean;

  constructor(options: OutputOptions) {
    this.#options = options;
    this.#isSpooling = options.maxSpoolBytes > 0;
    this.spoolPath = options.spoolPath;
    this.#keptBytes = Math.max(options.maxChars * MAX_UTF8_BYTES, MIN_KEPT_BYTES);
  }

  get spooledBytes(): number {
    return this.#spooledBytes;
  }

  push(bytes: Bytes): void {
    this.#totalBytes += bytes.length;
    if (this.#isSpooling) this.#keepInFile(bytes);
    const headPart = bytes.subarray(0, this.#keptBytes - this.#headBytes);
    if (headPart.length > 0) {
      this.#head.push(copyBytes(headPart));
      this.#headBytes += headPart.length;
    }
    // The tail holds the last bytes whether or not they are in the head too.
    const tailPart = bytes.subarray(-this.#keptBytes);
    this.#tail.push(tailPart);
    this.#tailBytes += tailPart.length;
    while (this.#tailBytes - (this.#tail[0]?.length ?? 0) >= this.#keptBytes)
      this.#tailBytes -= this.#tail.shift()?.length ?? 0;
    if (this.#tail.length > MAX_TAIL_PIECES) this.#trimTail();
  }

  /** What a result carries: everything, or head and tail with a line between them. */
  read(): CapturedText {
    const { maxChars } = this.#options;
    const head = decode(concatBytes(this.#head));
    if (this.#totalBytes <= this.#keptBytes && head.length <= maxChars) {
      return { text: head, totalBytes: this.#totalBytes, isCut: false };
    }
    this.#trimTail();
    const headChars = Math.floor(maxChars * HEAD_SHARE);
    const first = head.slice(0, headChars).toWellFormed();
    const last = decode(concatBytes(this.#tail))
      .slice(headChars - maxChars)
      .toWellFormed();
    const leftOut = Math.max(0, this.#totalBytes - encode(first).length - encode(last).length);
    return { text: `${first}\n… ${leftOut} bytes left out …\n${last}`, totalBytes: this.#totalBytes, isCut: true };
  }

  /** Nothing more is kept in the file. */
  stopSpooling(): void {
    this.#isSpooling = false;
    if (this.#spool !== undefined) closeSync(this.#spool);
    this.#spool = undefined;
  }

  #keepInFile(bytes: Bytes): void {
    const { maxSpoolBytes, budget } = this.#options;
    const kept = bytes.subarray(0, Math.max(0, Math.min(maxSpoolBytes - this.#spooledBytes, budget.leftBytes)));
    try {
      this.#spool ??= openSync(this.spoolPath, "w", 0o600);
      for (let at = 0; at < kept.length;) {
        const written = writeSync(this.#spool, kept, at);
        at += written;
        this.#spooledBytes += written;
        budget.leftBytes -= written;
      }
    } catch {
      // The disk is full: what is stored stays a true beginning.
      this.stopSpooling();
      return;
    }
    if (kept.length < bytes.length) this.stopSpooling();
  }

  #trimTail(): void {
    const all = concatBytes(this.#tail);
    this.#tail = [copyBytes(all.subarray(-this.#keptBytes))];
    this.#tailBytes = Math.min(all.length, this.#keptBytes);
  }
}

const LIVE_EVERY_MS = 250;
const LIVE_BYTES = 2_000;

/** Passes the newest output on, a few times a second. */
export class LiveOutput {
  readonly #onText: (text: string) => void;
  #pending: Bytes = NO_BYTES;
  #timer: NodeJS.Timeout | undefined;
  #isOn = true;

  constructor(onText: (text: string) => void) {
    this.#onText = onText;
  }

  push(bytes: Bytes): void {
    if (!this.#isOn) return;
    this.#pending = concatBytes([this.#pending, bytes.subarray(-LIVE_BYTES)]).subarray(-LIVE_BYTES);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#onText(decode(this.#pending));
      this.#pending = NO_BYTES;
    }, LIVE_EVERY_MS);
  }

  stop(): void {
    this.#isOn = false;
    clearTimeout(this.#timer);
  }
}
