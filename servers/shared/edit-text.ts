import { createTwoFilesPatch } from "diff";
import { ToolError } from "./errors.ts";

/** Comparing costs the square of it; the edit itself is done whatever it comes to. */
const MAX_CHANGED_LINES = 2_000;
/** What is short, there often, and replaced by something long comes to more than there is memory. */
const MAX_CHARS = 12_000_000;

export interface TextEdit {
  readonly path: string;
  readonly old: string;
  readonly replacement: string;
  /** Every occurrence; otherwise there must be one alone. */
  readonly all: boolean;
}

/** The text after the edit. Throws `not_found` and `conflict` where the old text is not there once. */
export function editText(before: string, { path, old, replacement, all }: TextEdit): string {
  const parts = before.split(old);
  const found = parts.length - 1;
  if (found === 0) {
    // Models write \n, whatever the file has.
    if (before.includes("\r\n") && old.includes("\n") && !old.includes("\r\n")) {
      return editText(before, { path, old: withCrLf(old), replacement: withCrLf(replacement), all });
    }
    throw new ToolError(
      "not_found",
      `The old text is not in ${path}; read the file and copy it exactly, with its whitespace.`,
    );
  }
  if (found > 1 && !all) {
    throw new ToolError(
      "conflict",
      `The old text is ${found} times in ${path}; take in lines around it until it is there once, or set all.`,
    );
  }
  if (before.length + found * (replacement.length - old.length) > MAX_CHARS) {
    throw new ToolError(
      "too_large",
      `${path} would have over ${MAX_CHARS} characters; replace by less, or less often.`,
    );
  }
  return parts.join(replacement);
}

function withCrLf(text: string): string {
  return text.replaceAll(/\r?\n/g, "\r\n");
}

/** A unified diff. */
export function describeChange(path: string, before: string, after: string): string {
  const patch = createTwoFilesPatch(path, path, before, after, undefined, undefined, {
    context: 3,
    maxEditLength: MAX_CHANGED_LINES,
  });
  if (patch === undefined) return `${path} is changed in more places than a diff can show.`;
  return patch.replace(/^=+\n/, "");
}
