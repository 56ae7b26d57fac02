import { closeSync, openSync, writeSync } from "node:fs";
import { open } from "node:fs/promises";
import type { CapturedOutput } from "../../../servers/sandbox/process.ts";
import { type Bytes, concatBytes, copyBytes, decode, encode } from "./bytes.ts";
import { Problem } from "./problem.ts";

/** The disk that a sandbox's stored outputs may still take. */
export interface SpoolBudget {
  leftBytes: number;
}

export interface OutputOptions {
  readonly spoolPath: string;
  readonly maxChars: number;
  readonly maxSpoolBytes: number;
  readonly budget: SpoolBudget;
  /** What another life of the runtime has left in the file; nothing comes to it any more. */
  readonly before?: { readonly totalBytes: number; readonly spooledBytes: number };
}

const HEAD_SHARE = 0.6;
const MAX_UTF8_BYTES = 4;
const MIN_KEPT_BYTES = 256;
/** Of what comes after the file's end, this much can still be read. */
const MIN_TAIL_BYTES = 64 * 1024;
const MAX_TAIL_PIECES = 1_000;

/**
 * One output of a process: its head and tail in memory, its beginning in a file, and the rest counted. Memory stays
 * flat however much comes, and whoever writes is never held up.
 */
export class Output {
  readonly spoolPath: string;
  readonly #options: OutputOptions;
  #keptBytes: number;
  #tailLimit: number;
  #head: Bytes[] = [];
  #headBytes = 0;
  #tail: Bytes[] = [];
  #tailBytes = 0;
  #totalBytes = 0;
  #spool: number | undefined;
  #spooledBytes = 0;
  #isSpooling: boolean;
  #isProcessOver = false;

  constructor(options: OutputOptions) {
    this.#options = options;
    this.#isSpooling = options.maxSpoolBytes > 0 && options.before === undefined;
    this.#totalBytes = options.before?.totalBytes ?? 0;
    this.#spooledBytes = options.before?.spooledBytes ?? 0;
    this.spoolPath = options.spoolPath;
    this.#keptBytes = keptFor(options.maxChars);
    this.#tailLimit = Math.max(this.#keptBytes, MIN_TAIL_BYTES);
  }

  get totalBytes(): number {
    return this.#totalBytes;
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
    const tailPart = bytes.subarray(-this.#tailLimit);
    this.#tail.push(tailPart);
    this.#tailBytes += tailPart.length;
    while (this.#tailBytes - (this.#tail[0]?.length ?? 0) >= this.#tailLimit)
      this.#tailBytes -= this.#tail.shift()?.length ?? 0;
    if (this.#tail.length > MAX_TAIL_PIECES) this.#trimTail();
  }

  /** What a result carries: everything, or head and tail with a line between them. */
  read(): CapturedOutput {
    const { maxChars } = this.#options;
    const head = decode(concatBytes(this.#head));
    if (this.#totalBytes <= this.#keptBytes && head.length <= maxChars) {
      return { text: head, totalBytes: this.#totalBytes, isCut: false };
    }
    this.#trimTail();
    const tail = decode(concatBytes(this.#tail).subarray(-this.#keptBytes));
    return cut(head, tail, { rangeBytes: this.#totalBytes, totalBytes: this.#totalBytes, maxChars });
  }

  /** Nobody reads the result again: later readers get the beginning from the file, and the last bytes from memory. */
  release(): void {
    this.#head = [];
    this.#headBytes = 0;
    this.#keptBytes = 0;
    this.#tailLimit = MIN_TAIL_BYTES;
    this.#trimTail();
  }

  /**
   * As `read`, for what comes after a place; one within a character stands for the character's beginning. A character
   * whose end may still come waits for it.
   */
  async readAfter(
    place: number,
    { maxChars, isOver }: { readonly maxChars: number; readonly isOver: boolean },
  ): Promise<CapturedOutput> {
    const view = this.#view();
    const { totalBytes } = view;
    if (place >= totalBytes) return { text: "", totalBytes, isCut: false };
    const kept = keptFor(maxChars);
    const head = await this.#piece(view, earliestBeginning(place), Math.min(totalBytes, place + kept));
    const isHeadThere = head.from <= place;
    const start = isHeadThere ? head.from + beginningOf(head.bytes, place - head.from) : place;
    const first = isHeadThere ? decodeSoFar(head.bytes.subarray(start - head.from), isOver) : "";
    if (isHeadThere && head.from + head.bytes.length === totalBytes && first.length <= maxChars)
      return { text: first, totalBytes, isCut: false };
    const tail = await this.#piece(view, Math.max(start, totalBytes - kept, unbrokenFrom(view)), totalBytes);
    const last = decodeSoFar(tail.bytes.subarray(tail.from === start ? 0 : restOfCharacter(tail.bytes)), isOver);
    return cut(first, last, { rangeBytes: totalBytes - start, totalBytes, maxChars });
  }

  /** Where the character begins that a place is in, as far as it has come. */
  async beginningOf(place: number): Promise<number> {
    const view = this.#view();
    const { from, bytes } = await this.#piece(view, earliestBeginning(place), Math.min(view.totalBytes, place + 1));
    return from <= place ? from + beginningOf(bytes, place - from) : place;
  }

  /** What is kept from a place on, or from the first place after it where something is. */
  async bytesAfter(place: number, maxBytes: number): Promise<Piece> {
    const view = this.#view();
    return await this.#piece(view, place, Math.min(view.totalBytes, Math.max(place, unbrokenFrom(view)) + maxBytes));
  }

  /** What is kept at this moment; the file's beginning does not change while it is read. */
  #view(): View {
    return { totalBytes: this.#totalBytes, spooledBytes: this.#spooledBytes, tail: copyBytes(concatBytes(this.#tail)) };
  }

  async #piece({ totalBytes, spooledBytes, tail }: View, from: number, to: number): Promise<Piece> {
    const tailStart = totalBytes - tail.length;
    const fromTail = (start: number): Bytes => tail.subarray(start - tailStart, Math.max(start, to) - tailStart);
    if (from >= tailStart || from >= spooledBytes) {
      const start = Math.max(from, tailStart);
      return { from: start, bytes: fromTail(start) };
    }
    const stored = await readPart(this.spoolPath, from, Math.min(to, spooledBytes));
    const isJoined = to > spooledBytes && spooledBytes >= tailStart;
    return { from, bytes: isJoined ? concatBytes([stored, fromTail(spooledBytes)]) : stored };
  }

  /** The process has ended: the file is open only while something that it left behind writes. */
  end(): void {
    this.#isProcessOver = true;
    this.#closeSpool();
  }

  /** Nothing more is kept in the file. */
  stopSpooling(): void {
    this.#isSpooling = false;
    this.#closeSpool();
  }

  #closeSpool(): void {
    if (this.#spool !== undefined) closeSync(this.#spool);
    this.#spool = undefined;
  }

  #keepInFile(bytes: Bytes): void {
    const { maxSpoolBytes, budget } = this.#options;
    const kept = bytes.subarray(0, Math.max(0, Math.min(maxSpoolBytes - this.#spooledBytes, budget.leftBytes)));
    try {
      this.#spool ??= openSync(this.spoolPath, this.#spooledBytes === 0 ? "w" : "a", 0o600);
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
    else if (this.#isProcessOver) this.#closeSpool();
  }

  #trimTail(): void {
    const all = concatBytes(this.#tail);
    this.#tail = [copyBytes(all.subarray(-this.#tailLimit))];
    this.#tailBytes = Math.min(all.length, this.#tailLimit);
  }
}

interface View {
  readonly totalBytes: number;
  readonly spooledBytes: number;
  /** The last bytes of all. */
  readonly tail: Bytes;
}

interface Piece {
  readonly from: number;
  readonly bytes: Bytes;
}

/** The first place from which on everything is kept. */
function unbrokenFrom({ totalBytes, spooledBytes, tail }: View): number {
  return spooledBytes >= totalBytes - tail.length ? 0 : totalBytes - tail.length;
}

function keptFor(maxChars: number): number {
  return Math.max(maxChars * MAX_UTF8_BYTES, MIN_KEPT_BYTES);
}

/** Head and tail of a range with a line between them. */
function cut(
  head: string,
  tail: string,
  size: { readonly rangeBytes: number; readonly totalBytes: number; readonly maxChars: number },
): CapturedOutput {
  const headChars = Math.floor(size.maxChars * HEAD_SHARE);
  const first = head.slice(0, headChars).toWellFormed();
  const last = tail.slice(headChars - size.maxChars).toWellFormed();
  const leftOut = Math.max(0, size.rangeBytes - encode(first).length - encode(last).length);
  return { text: `${first}\n… ${leftOut} bytes left out …\n${last}`, totalBytes: size.totalBytes, isCut: true };
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}

/** The first place at which a character that a place is in can begin. */
function earliestBeginning(place: number): number {
  return Math.max(0, place - MAX_UTF8_BYTES + 1);
}

/** Where the character begins that a place is in; the place itself where it is in none. */
function beginningOf(bytes: Bytes, place: number): number {
  let start = place;
  while (start > 0 && isContinuation(bytes[start])) start -= 1;
  const lead = bytes[start] ?? 0;
  const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
  return place - start < length ? start : place;
}

/** How many bytes at the beginning belong to a character that began before. */
function restOfCharacter(bytes: Bytes): number {
  let length = 0;
  while (length < MAX_UTF8_BYTES - 1 && isContinuation(bytes[length])) length += 1;
  return length;
}

function decodeSoFar(bytes: Bytes, isOver: boolean): string {
  return new TextDecoder("utf-8", { ignoreBOM: true, fatal: false }).decode(bytes, { stream: !isOver });
}

async function readPart(path: string, from: number, to: number): Promise<Bytes> {
  const bytes = new Uint8Array(to - from);
  try {
    await using file = await open(path, "r");
    let size = 0;
    for (let read = -1; read !== 0 && size < bytes.length; size += read)
      read = (await file.read(bytes, size, bytes.length - size, from + size)).bytesRead;
    return bytes.subarray(0, size);
  } catch {
    throw new Problem("not_found", "What the process has written is not kept any more; start it again.");
  }
}
