const MAX_LINE_CHARS = 160;
/** What a ref may take, with characters in it that cannot be seen. */
const MAX_REF_CHARS = 60;

/** Whether what stands together on the page is one line, or each element begins its own. */
export type LineBreaks = "sentences" | "elements";

/** Writes lines at a depth, and stops at a number of characters. */
export class SnapshotWriter {
  readonly #maxChars: number;
  readonly #maxLineChars: number;
  readonly #lines: string[] = [];
  #chars = 0;
  #depth = 0;
  #line = "";
  /** Where on that line the page's own text begins, behind what is ours. */
  #textStart = 0;
  #prefix = "";
  #lead = "";
  #isJoining = false;
  isFull = false;

  constructor(maxChars: number, breaks: LineBreaks = "sentences") {
    this.#maxChars = maxChars;
    this.#maxLineChars = breaks === "elements" ? 0 : MAX_LINE_CHARS;
  }

  /** A run of the page's text; the white space at its ends counts. Line breaks in it are meant as such. */
  text(text: string): void {
    const [first = "", ...rest] = defuse(text).split("\n");
    const clean = first.replace(/\s+/g, " ");
    this.#write(this.#line === "" || this.#line.endsWith(" ") ? clean.trimStart() : clean);
    for (const line of rest) {
      this.line();
      this.#write(this.#isJoining ? line.trimStart() : line);
    }
  }

  /** An element, set off from what is around it. Long lines are broken before it. */
  word(word: string): void {
    if (this.#line.length + word.length > this.#maxLineChars && this.#line !== "") this.line();
    this.#line += this.#line === "" || this.#line.endsWith(" ") ? `${word} ` : ` ${word} `;
    this.#textStart = this.#line.length;
  }

  /** A ref, which stays with the text that follows it, on however many lines that begins. */
  lead(ref: string): void {
    this.word(ref);
    this.#lead = this.#line;
  }

  /** No text follows that the last ref belongs to. */
  endLead(): void {
    this.#lead = "";
  }

  /** What the next line starts with, if there is one. */
  prefix(prefix: string): void {
    this.#prefix = prefix;
  }

  /** Ends the line that is being written, if anything is on it. */
  line(): void {
    if (this.#isJoining) {
      if (this.#line !== "" && !this.#line.endsWith(" ")) this.#line += " ";
      return;
    }
    if (this.#line === this.#lead) return;
    const text = this.#line.trimEnd();
    this.#line = "";
    this.#textStart = 0;
    this.#lead = "";
    if (text === "") return;
    const depth = this.#prefix === "" ? this.#depth : this.#depth - 1;
    const line = `${" ".repeat(Math.min(Math.max(0, depth), 20))}${this.#prefix}${text}`;
    this.#prefix = "";
    if (this.#chars + line.length > this.#maxChars) {
      if (!this.isFull) this.#lines.push(`${line.slice(0, Math.max(0, this.#maxChars - this.#chars)).toWellFormed()}…`);
      this.isFull = true;
      return;
    }
    this.#chars += line.length + 1;
    this.#lines.push(line);
  }

  indent(): void {
    this.#depth += 1;
  }

  outdent(): void {
    this.#depth -= 1;
    this.#prefix = "";
  }

  /** Runs of text that stand side by side may look like a ref together. */
  #write(text: string): void {
    const start = Math.max(this.#textStart, this.#line.length - MAX_REF_CHARS);
    this.#line = this.#line.slice(0, start) + defuse(this.#line.slice(start) + text);
  }

  /** What is written meanwhile stays on one line. */
  joinLines(write: () => void): void {
    const wasJoining = this.#isJoining;
    this.#isJoining = true;
    write();
    this.#isJoining = wasJoining;
  }

  end(): string {
    this.#isJoining = false;
    this.line();
    return this.#lines.join("\n");
  }
}

/** The text, or its beginning where it is longer. */
export function clip(text: string, maxChars: number): string {
  return text.length <= maxChars ? text : `${text.slice(0, maxChars).toWellFormed()}…`;
}

/** Page text on one line. */
export function tidy(text: string): string {
  return defuse(text).replace(/\s+/g, " ").trim();
}

/** Without control characters, other than white space. */
export function withoutControls(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u0008\u000e-\u001f\u007f-\u009f]/g, "");
}

/** Takes out control characters, and what would pass for a ref of ours. */
function defuse(text: string): string {
  return withoutControls(text).replace(/\[(?=\p{Cf}*(f[\d\p{Cf}]+)?e[\d\p{Cf}]+\])/gu, "(");
}
