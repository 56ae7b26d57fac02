import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { isLoopback } from "../../../servers/shared/settings.ts";

/**
 * Whether a request is the Worker's own: it knows the secret, and names this machine as its host, so that a page in
 * a browser whose name was rebound to loopback gets nowhere.
 */
export function isAllowed(request: IncomingMessage, secret: string): boolean {
  const { host, origin, authorization = "" } = request.headers;
  return origin === undefined && isLoopbackHost(host ?? "") && isSame(authorization, `Bearer ${secret}`);
}

function isLoopbackHost(host: string): boolean {
  const url = URL.parse(`http://${host}`);
  return url !== null && isLoopback(url.hostname);
}

/** In constant time, whatever the lengths. */
function isSame(given: string, wanted: string): boolean {
  const digest = (text: string): Uint8Array => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(given), digest(wanted));
}
