import { tidy } from "./snapshot-writer.ts";

const MAX_CHARS = 200;

/** Without the origin where it is the page's own, and the fragment alone where it stays on the page. */
export function shortUrl(url: string, pageUrl: string): string {
  const page = URL.canParse(pageUrl) ? new URL(pageUrl) : undefined;
  const base = page === undefined ? "" : `${page.origin}${page.pathname}${page.search}`;
  const origin = page === undefined || page.origin === "null" ? "" : page.origin;
  const isFragment = page !== undefined && url.startsWith(`${base}#`);
  const short = isFragment ? url.slice(base.length) : url.startsWith(`${origin}/`) ? url.slice(origin.length) : url;
  return tidy(short.length > MAX_CHARS ? `${short.slice(0, MAX_CHARS)}…` : short);
}
