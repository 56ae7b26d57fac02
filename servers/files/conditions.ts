import type { FileInfo } from "./store.ts";

export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

/** What of a file of that size a `Range` asks for (RFC 9110 §14); whatever is not one range of bytes is ignored. */
export function readRange(header: string | null, sizeBytes: number): ByteRange | "unsatisfiable" | undefined {
  const match = /^bytes=\s*(\d{0,15})-(\d{0,15})\s*$/i.exec(header ?? "");
  const [, first = "", last = ""] = match ?? [];
  if (first === "" && last === "") return undefined;
  if (first === "") return between(Math.max(0, sizeBytes - Number(last)), sizeBytes - 1);
  if (last !== "" && Number(last) < Number(first)) return undefined;
  return between(Number(first), last === "" ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1));
}

function between(first: number, last: number): ByteRange | "unsatisfiable" {
  return first > last ? "unsatisfiable" : { offset: first, length: last - first + 1 };
}

/** What may be answered otherwise than by the whole file. */
const CONDITIONS = ["Range", "If-Match", "If-Unmodified-Since", "If-None-Match", "If-Modified-Since"];

export function isConditional(headers: Headers): boolean {
  return CONDITIONS.some((name) => headers.has(name));
}

/** Whether the reader wants none but another version: `If-Match`, or, only where that is absent, `If-Unmodified-Since`. */
export function isOfAnother(headers: Headers, file: FileInfo): boolean {
  const tags = headers.get("If-Match");
  if (tags !== null) return tags.trim() !== "*" && !listed(tags).includes(`"${file.etag}"`);
  return wholeSeconds(file) > Date.parse(headers.get("If-Unmodified-Since") ?? "");
}

/** Whether the reader has this version already: `If-None-Match`, or, only where that is absent, `If-Modified-Since`. */
export function isKnown(headers: Headers, file: FileInfo): boolean {
  const tags = headers.get("If-None-Match");
  // It compares weakly: with or without `W/`.
  if (tags !== null) return tags.trim() === "*" || listed(tags.replaceAll("W/", "")).includes(`"${file.etag}"`);
  const since = Date.parse(headers.get("If-Modified-Since") ?? "");
  return wholeSeconds(file) <= since;
}

/** Whether a range may be answered: `If-Range` names this version, or there is none. */
export function isRangeOfThis(headers: Headers, file: FileInfo): boolean {
  const version = headers.get("If-Range");
  return version === null || version === `"${file.etag}"` || Date.parse(version) === wholeSeconds(file);
}

function listed(tags: string): string[] {
  return tags.split(",").map((tag) => tag.trim());
}

/** HTTP's dates have no fractions. */
function wholeSeconds({ modifiedAt }: FileInfo): number {
  return Math.floor(modifiedAt.getTime() / 1_000) * 1_000;
}
