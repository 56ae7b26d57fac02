import { createContext, Script } from "node:vm";
import type { Output } from "./output.ts";
import { Problem } from "./problem.ts";
import type { Turns } from "./turns.ts";

const STEP_BYTES = 256 * 1024;
/** A match may span this many characters, however the output was cut into pieces. */
const WINDOW_CHARS = 64 * 1024;
/** A pattern can take for ever to try; everybody waits meanwhile. */
const TRY_MS = 250;

const TRY = new Script("expression.test(text)");

/** Tries a regular expression that nobody has checked. */
export type Pattern = (text: string) => Promise<boolean>;

export function compilePattern(source: string, turns: Turns): Pattern {
  let expression;
  try {
    expression = new RegExp(source, "m");
  } catch {
    throw new Problem("invalid_input", "The pattern is no regular expression of JavaScript; correct it.");
  }
  const context = createContext({ expression, text: "" });
  const isIn = (text: string): boolean => {
    context["text"] = text;
    try {
      return TRY.runInContext(context, { timeout: TRY_MS }) === true;
    } catch {
      throw new Problem("invalid_input", "The pattern takes too long to try; write a simpler one.");
    }
  };
  return async (text) => await turns.take(() => isIn(text));
}

/** Looks for a pattern in one output from a place on, in each piece as it comes. */
export class Search {
  readonly #output: Output;
  readonly #pattern: Pattern;
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true, fatal: false });
  #place: number;
  #hasBegun = false;
  #window = "";

  constructor(output: Output, place: number, pattern: Pattern) {
    this.#output = output;
    this.#place = place;
    this.#pattern = pattern;
  }

  /** Whether it is in what has come by now, beginning perhaps in what came before. */
  async isFound(): Promise<boolean> {
    for (const end = this.#output.totalBytes; this.#place < end;) {
      // Known once more has come.
      if (!this.#hasBegun) this.#place = await this.#output.beginningOf(this.#place);
      this.#hasBegun = true;
      const { from, bytes } = await this.#output.bytesAfter(this.#place, STEP_BYTES);
      // What was written faster than it was looked at is not kept.
      if (from > this.#place) this.#window = "";
      this.#place = from + bytes.length;
      this.#window += this.#decoder.decode(bytes, { stream: true });
      if (await this.#pattern(this.#window)) return true;
      if (this.#window.length > 2 * WINDOW_CHARS) this.#window = beginAtLine(this.#window.slice(-WINDOW_CHARS));
    }
    return false;
  }
}

/** `^` means the beginning of a line. */
function beginAtLine(text: string): string {
  const end = text.indexOf("\n");
  return end === -1 ? text : text.slice(end + 1);
}
