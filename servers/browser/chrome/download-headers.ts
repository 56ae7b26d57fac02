import { tidy } from "../snapshot/snapshot-writer.ts";

/** As CDP lists them. */
export type ResponseHeaders = readonly { readonly name: string; readonly value: string }[];

const MAX_NAME_CHARS = 120;
/** What Chrome shows in a page; everything else it takes for a file. A PDF is worth more as a file than as a picture. */
const SHOWN =
  /^(text\/(?!csv|calendar)|image\/|audio\/|video\/|multipart\/|application\/(json|xml|javascript|xhtml\+xml|\S+\+(json|xml))\b)/i;

/** Whether a response to a request for a document is a file to keep. `isForced`: the link said so. */
export function isFile(status: number, headers: ResponseHeaders, isForced: boolean): boolean {
  if (status < 200 || status > 299 || status === 204 || status === 205) return false;
  if (isForced || /^\s*attachment\b/i.test(headerOf(headers, "content-disposition") ?? "")) return true;
  const type = headerOf(headers, "content-type")?.trim() ?? "";
  return type !== "" && !SHOWN.test(type);
}

export function headerOf(headers: ResponseHeaders, wanted: string): string | undefined {
  return headers.find(({ name }) => name.toLowerCase() === wanted)?.value;
}

/** How long the body is, where the headers say so; one that is packed has another length when it arrives. */
export function lengthOf(headers: ResponseHeaders): number | undefined {
  const length = headerOf(headers, "content-length");
  return length === undefined || headerOf(headers, "content-encoding") !== undefined ? undefined : Number(length);
}

export function typeOf(headers: ResponseHeaders): string {
  const type = (headerOf(headers, "content-type") ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
  return /^[\w.+-]+\/[\w.+-]+$/.test(type) ? type : "application/octet-stream";
}

/** What a file of that URL is called as long as nobody says otherwise. */
export function nameIn(url: string): string {
  const path = URL.canParse(url) ? new URL(url).pathname : "";
  return fileName(path.slice(path.lastIndexOf("/") + 1));
}

/** A page may call a file anything; slashes and what cannot be seen are left out. */
export function fileName(text: string): string {
  const name = tidy(text)
    .replace(/[/\\\p{Cc}\p{Cf}]/gu, "_")
    .replace(/^\.+/, "");
  return name === "" ? "download" : name.slice(-MAX_NAME_CHARS).toWellFormed();
}
