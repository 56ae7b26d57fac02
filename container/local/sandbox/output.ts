import { closeSync, openSync, writeSync } from "node:fs";

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
  readonly #head: Buffer[] = [];
  #headBytes = 0;
  #tail: Buffer[] = [];
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

  push(bytes: Buffer): void {
    this.#totalBytes += bytes.length;
    if (this.#isSpooling) this.#keepInFile(bytes);
    const headPart = bytes.subarray(0, this.#keptBytes - this.#headBytes);
    if (headPart.length > 0) {
      this.#head.push(Buffer.from(headPart));
      this.#headBytes += headPart.length;
    }
    // The tail holds the last bytes whether or not they are in the head too.
    const tailPart = Buffer.from(bytes.subarray(-this.#keptBytes));
    this.#tail.push(tailPart);
    this.#tailBytes += tailPart.length;
    if (this.#tailBytes > 2 * this.#keptBytes || this.#tail.length > MAX_TAIL_PIECES) this.#trimTail();
  }

  /** What a result carries: everything, or head and tail with a line between them. */
  read(): CapturedText {
    const { maxChars } = this.#options;
    const head = decode(Buffer.concat(this.#head));
    if (this.#totalBytes <= this.#keptBytes && head.length <= maxChars) {
      return { text: head, totalBytes: this.#totalBytes, isCut: false };
    }
    this.#trimTail();
    const headChars = Math.floor(maxChars * HEAD_SHARE);
    const first = head.slice(0, headChars).toWellFormed();
    const last = decode(Buffer.concat(this.#tail)).slice(headChars - maxChars).toWellFormed();
    const leftOut = Math.max(0, this.#totalBytes - Buffer.byteLength(first) - Buffer.byteLength(last));
    return { text: `${first}\n… ${leftOut} bytes left out …\n${last}`, totalBytes: this.#totalBytes, isCut: true };
  }

  /** Nothing more is kept in the file. */
  stopSpooling(): void {
    this.#isSpooling = false;
    if (this.#spool !== undefined) closeSync(this.#spool);
    this.#spool = undefined;
  }

  #keepInFile(bytes: Buffer): void {
    const { maxSpoolBytes, budget } = this.#options;
    const kept = bytes.subarray(0, Math.max(0, Math.min(maxSpoolBytes - this.#spooledBytes, budget.leftBytes)));
    try {
      this.#spool ??= openSync(this.spoolPath, "w", 0o600);
      for (let at = 0; at < kept.length; ) {
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
    const all = Buffer.concat(this.#tail);
    this.#tail = [Buffer.from(all.subarray(-this.#keptBytes))];
    this.#tailBytes = Math.min(all.length, this.#keptBytes);
  }
}

/** Text, with a mark where the bytes are none. */
export function decode(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true, fatal: false }).decode(bytes);
}

const LIVE_EVERY_MS = 250;
const LIVE_BYTES = 2_000;

/** Passes the newest output on, a few times a second. */
export class LiveOutput {
  readonly #onText: (text: string) => void;
  #pending: Buffer = Buffer.alloc(0);
  #timer: NodeJS.Timeout | undefined;
  #isOn = true;

  constructor(onText: (text: string) => void) {
    this.#onText = onText;
  }

  push(bytes: Buffer): void {
    if (!this.#isOn) return;
    this.#pending = Buffer.concat([this.#pending, bytes.subarray(-LIVE_BYTES)]).subarray(-LIVE_BYTES);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#onText(decode(this.#pending));
      this.#pending = Buffer.alloc(0);
    }, LIVE_EVERY_MS);
  }

  stop(): void {
    this.#isOn = false;
    clearTimeout(this.#timer);
  }
}
