import { type PreviewSite, previewOrigin } from "../shared/preview-site.ts";

/**
 * Between two hops, or about us: none of it is for what runs in the sandbox (RFC 9110 §7.6.1). What only the Worker may
 * say goes by underscores too, since CGI and WSGI take them for dashes.
 */
const NOT_FOR_IT =
  /^(?:cf[-_].*|x[-_]forwarded[-_].*|x[-_]real[-_]ip|true-client-ip|forwarded|cdn-loop|x[-_]pincer[-_].*|host|expect|connection|upgrade|keep-alive|proxy-.*|te|trailer|transfer-encoding)$/;
/** From where visitors come is not told. A proxy has to name an address, and this one is nobody's (RFC 5737). */
const SOME_ADDRESS = "192.0.2.1";
/** Would clear the cookies of the whole site, or come from nobody who may say so. */
const NOT_FROM_IT = /^(?:clear-site-data|x-pincer-.*)$/;
/** Ours, and those by which Access lets the person in. */
const OUR_COOKIE = /^(?:__(?:host|secure)-pincer|cf_)/i;

/**
 * A visitor's request as what listens in the sandbox gets it: dev servers know `localhost` alone. `person` is the
 * preview's own, where it is they who visit; of a share link's visitors nothing is known.
 */
export function headersForIt(
  received: Headers,
  label: string,
  { protocol, host }: PreviewSite,
  person: string | undefined,
): Headers {
  const headers = new Headers();
  for (const [name, value] of received) if (!NOT_FOR_IT.test(name)) headers.append(name, value);
  if (received.get("Upgrade")?.toLowerCase() === "websocket") headers.set("Upgrade", "websocket");
  const cookies = (received.get("Cookie") ?? "")
    .split(";")
    .map((cookie) => cookie.trim())
    .filter((cookie) => cookie !== "" && !OUR_COOKIE.test(cookie));
  if (cookies.length > 0) headers.set("Cookie", cookies.join("; "));
  else headers.delete("Cookie");
  headers.set("X-Forwarded-For", SOME_ADDRESS);
  headers.set("X-Forwarded-Host", `${label}.${host}`);
  headers.set("X-Forwarded-Proto", protocol.slice(0, -1));
  if (person !== undefined) headers.set("X-Pincer-User", person);
  return headers;
}

/** What it answers, as its visitor gets it: it sets no cookie beyond its own origin, nor ours. */
export function headersFromIt(sent: Headers, port: number): Headers {
  const headers = new Headers();
  for (const [name, value] of sent) {
    if (name !== "set-cookie" && name !== "location" && !NOT_FROM_IT.test(name)) headers.append(name, value);
  }
  for (const cookie of sent.getSetCookie()) {
    const [pair = "", ...rules] = cookie.split(";");
    if (OUR_COOKIE.test(pair.trim())) continue;
    headers.append("Set-Cookie", [pair, ...rules.filter((rule) => !/^\s*domain\s*(?:=|$)/i.test(rule))].join(";"));
  }
  const location = sent.get("location");
  if (location !== null) headers.set("Location", atItsOrigin(location, port));
  return headers;
}

/** It knows itself as `localhost`, which for its visitor is another machine. */
function atItsOrigin(location: string, port: number): string {
  if (!URL.canParse(location)) return location;
  const { protocol, hostname, port: its, pathname, search, hash } = new URL(location);
  const isItself = ["localhost", "127.0.0.1", "[::1]"].includes(hostname) && Number(its === "" ? 80 : its) === port;
  return isItself && protocol === "http:" ? `/${pathname.replace(/^\/+/, "")}${search}${hash}` : location;
}

/**
 * Whether a request comes from a page that is not the preview's own: beside each other on one site, pages could act on
 * one another's previews with the visitor's cookie. To follow a link is open to all.
 */
export function isForeign(request: Request, label: string, site: PreviewSite): boolean {
  if (isVisit(request)) return false;
  const from = request.headers.get("Sec-Fetch-Site");
  if (from !== null) return from !== "same-origin" && from !== "none";
  const origin = request.headers.get("Origin");
  return origin !== null && origin !== previewOrigin(site, label);
}

/** Whether a person's browser wants a page to show. */
export function isVisit({ method, headers }: Request): boolean {
  if (method !== "GET" || headers.get("Upgrade") !== null) return false;
  const mode = headers.get("Sec-Fetch-Mode");
  if (mode !== null) return mode === "navigate" && headers.get("Sec-Fetch-Dest") === "document";
  return wantsHtml(headers) && headers.get("Origin") === null;
}

export function wantsHtml(headers: Headers): boolean {
  return headers.get("Accept")?.includes("text/html") === true;
}
