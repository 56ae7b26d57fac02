import { ToolError } from "../../shared/errors.ts";

/** An element as a snapshot names it. */
export interface ElementRef {
  /** 0 for the page itself. */
  readonly frameNumber: number;
  readonly number: number;
}

/** Brackets, with which a snapshot writes it, do no harm. */
const REF = /^\[?(?:f(?<frame>[1-9]\d{0,5}))?e(?<number>[1-9]\d{0,9})\]?$/;

/** Reads `e12`, or `f1e12` in a frame. Throws `invalid_input` for what is neither. */
export function parseRef(text: string): ElementRef {
  const groups = REF.exec(text.trim())?.groups;
  if (groups === undefined) {
    throw new ToolError(
      "invalid_input",
      `"${text.slice(0, 40).toWellFormed()}" is no ref; give one that browser_snapshot shows, such as e12 or f1e12.`,
    );
  }
  return { frameNumber: Number(groups["frame"] ?? 0), number: Number(groups["number"]) };
}

/** As a snapshot shows it, without the brackets. */
export function formatRef({ frameNumber, number }: ElementRef): string {
  return `${frameNumber === 0 ? "" : `f${frameNumber}`}e${number}`;
}
