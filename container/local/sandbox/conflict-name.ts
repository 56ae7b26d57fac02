import { MAX_NAME_BYTES, MAX_PATH_BYTES } from "../../../servers/shared/paths.ts";
import { encode } from "./bytes.ts";

/** A longer end is part of the name. */
const MAX_ENDING_BYTES = 20;

/**
 * Where a file goes that has to make room for another: `report.md` → `report (conflict 2026-11-22 21-10-05).md`. Cut to
 * what files may be called; where even the folder is too long for that, in the top one.
 */
export function conflictName(path: string, now: Date, isTaken: (path: string) => boolean): string {
  const time = now.toISOString().slice(0, 19).replace("T", " ").replaceAll(":", "-");
  const slash = path.lastIndexOf("/") + 1;
  const name = path.slice(slash);
  const dot = name.lastIndexOf(".");
  const hasEnding = dot > 0 && bytesIn(name.slice(dot)) <= MAX_ENDING_BYTES;
  const [stem, ending] = hasEnding ? [name.slice(0, dot), name.slice(dot)] : [name, ""];
  for (let count = 1; ; count += 1) {
    const mark = ` (conflict ${time}${count === 1 ? "" : ` ${count}`})${ending}`;
    const folder = bytesIn(`${path.slice(0, slash)}x${mark}`) > MAX_PATH_BYTES ? "" : path.slice(0, slash);
    const room = Math.min(MAX_NAME_BYTES, MAX_PATH_BYTES - bytesIn(folder)) - bytesIn(mark);
    const kept = folder + firstOf(stem, room) + mark;
    if (!isTaken(kept)) return kept;
  }
}

function bytesIn(text: string): number {
  return encode(text).length;
}

/** As many whole characters as fit. */
function firstOf(text: string, maxBytes: number): string {
  let [end, bytes] = [0, 0];
  for (const char of text) {
    bytes += bytesIn(char);
    if (bytes > maxBytes) break;
    end += char.length;
  }
  return text.slice(0, end);
}
