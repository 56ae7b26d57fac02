import { addressKind, normalizeAddress } from "./ip-address.ts";

/** Schemes that run, load or open something of their own where an app is expected. */
const NOT_APPS = [
  "about:",
  "blob:",
  "chrome:",
  "content:",
  "data:",
  "file:",
  "filesystem:",
  "ftp:",
  "intent:",
  "jar:",
  "javascript:",
  "mailto:",
  "ms-msdt:",
  "search-ms:",
  "tel:",
  "vbscript:",
  "view-source:",
  "ws:",
  "wss:",
];

/**
 * Whether a browser may be sent to that address with a code at all, whoever asks (RFC 6749 §3.1.2, RFC 8252 §7): https,
 * http on this machine, or an app's own scheme; no fragment, user information or wildcard, and nothing that a URL parser
 * would read differently from a person.
 */
export function isSafeRedirect(address: string): boolean {
  if (/[^\x21-\x7e]|[\\<>"'`{}|^*#]/.test(address) || !URL.canParse(address)) return false;
  const url = new URL(address);
  if (url.username !== "" || url.password !== "" || NOT_APPS.includes(url.protocol)) return false;
  if (url.protocol === "https:") return address.startsWith(`https://${url.host}/`) || address === url.origin;
  return url.protocol !== "http:" || isThisMachine(url.hostname);
}

/** Whether an address that is safe belongs to an app that listens on the person's own machine, at whatever port. */
export function isLoopbackRedirect(address: string): boolean {
  const url = new URL(address);
  return url.protocol === "http:" && isThisMachine(url.hostname);
}

function isThisMachine(hostname: string): boolean {
  if (hostname === "localhost") return true;
  const ip = normalizeAddress(hostname);
  return ip !== undefined && addressKind(ip) === "loopback";
}
