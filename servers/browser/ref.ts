import { ToolError } from "../shared/errors.ts";

/** An element of the open page, as long as it lives: its DOM node's backend id, in a frame of the page. */
export interface ElementRef {
  /** 0 for the page itself. */
  readonly frameNumber: number;
  readonly backendNodeId: number;
}

/** Brackets, with which a snapshot writes it, do no harm. */
const REF = /^\[?(?:f(?<frame>[1-9]\d{0,5}))?e(?<node>[1-9]\d{0,9})\]?$/;

/** Reads `e12`, or `f1e12` in a frame. Rejects with `invalid_input` what is neither. */
export function parseRef(text: string): ElementRef {
  const groups = REF.exec(text.trim())?.groups;
  if (groups === undefined) {
    throw new ToolError(
      "invalid_input",
      `"${text.slice(0, 40).toWellFormed()}" is no ref; give one that browser_snapshot shows, such as e12 or f1e12.`,
    );
  }
  return { frameNumber: Number(groups["frame"] ?? 0), backendNodeId: Number(groups["node"]) };
}

/** As a snapshot shows it, without the brackets. */
export function formatRef({ frameNumber, backendNodeId }: ElementRef): string {
  return `${frameNumber === 0 ? "" : `f${frameNumber}`}e${backendNodeId}`;
}

/** What to say of an element that is there no more. */
export function staleRef(ref: ElementRef, cause?: unknown): ToolError {
  return new ToolError(
    "not_found",
    `${formatRef(ref)} is not on the page any more; call browser_snapshot for fresh refs.`,
    { cause },
  );
}
