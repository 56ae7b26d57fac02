export interface LineRange {
  /** The first line, counted from 1. */
  readonly from: number;
  readonly count: number;
  /** Whole lines as far as they fit; one that does not fit alone is cut. */
  readonly maxChars: number;
}

export interface ShownLines {
  /** `lines 2-3 of 4; go on from 4` */
  readonly summary: string;
  readonly text: string;
}

/**
 * Some lines of a text that comes in pieces, holding no more of it than is shown. The whole is read to its end, so that
 * the number of lines is known, unless `isLong`: then nothing after what is shown is read.
 */
export async function showLines(
  pieces: AsyncIterable<string> | Iterable<string>,
  { from, count, maxChars }: LineRange,
  isLong = false,
): Promise<ShownLines> {
  const shown: string[] = [];
  let [total, chars, isFull] = [0, 0, false];
  let [line, lineChars] = ["", 0];
  const isWanted = (): boolean => !isFull && total + 1 >= from && shown.length < count;
  const endLine = (): void => {
    if (isWanted()) {
      chars += Math.min(lineChars, maxChars) + 1;
      if (chars > maxChars && shown.length > 0) isFull = true;
      else shown.push(lineChars > line.length ? `${line.toWellFormed()}… (${lineChars} characters)` : line);
    }
    total += 1;
    [line, lineChars] = ["", 0];
  };
  const isDone = (): boolean => isLong && (isFull || shown.length === count);

  for await (const piece of pieces) {
    for (let at = 0; at < piece.length && !isDone();) {
      const end = piece.indexOf("\n", at);
      const stop = end === -1 ? piece.length : end;
      if (isWanted()) line += piece.slice(at, Math.min(stop, at + maxChars - line.length));
      lineChars += stop - at;
      at = stop + 1;
      if (end !== -1) endLine();
    }
    if (isDone()) break;
  }
  if (isDone()) {
    const last = from + shown.length - 1;
    return { summary: `lines ${from}-${last}; go on from ${last + 1}`, text: shown.join("\n") };
  }
  // What follows the last line break is a line only if there is something.
  if (lineChars > 0) endLine();
  if (total === 0) return { summary: "empty", text: "" };
  if (from > total) return { summary: `${total} lines; there is no line ${from}`, text: "" };
  const last = from + shown.length - 1;
  const rest = last < total ? `; go on from ${last + 1}` : "";
  return { summary: `lines ${from}-${last} of ${total}${rest}`, text: shown.join("\n") };
}
