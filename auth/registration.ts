import type { Log } from "../servers/core/log.ts";
import { networkOf, normalizeAddress } from "../servers/shared/ip-address.ts";

export const REGISTRATION_ROUTE = "/oauth/register";

/** Counts registrations where parallel requests cannot share a place. */
export interface RegistrationCounter {
  admitRegistration(
    origin: string,
    nowMs: number,
  ): Promise<{ readonly isAllowed: boolean; readonly retryAtMs: number }>;
}

interface RegistrationOptions {
  readonly counter: () => RegistrationCounter;
  readonly log: Log;
  readonly now: () => Date;
}

/** Anybody may register a client (RFC 7591), and each is written to KV: a flood gets this 429 in place of that. */
export async function refuseFlood(
  request: Request,
  { counter, log, now }: RegistrationOptions,
): Promise<Response | undefined> {
  if (request.method !== "POST") return undefined;
  const nowMs = now().getTime();
  const { isAllowed, retryAtMs } = await counter().admitRegistration(originOf(request), nowMs);
  if (isAllowed) return undefined;
  log.info("registration refused", { retryAtMs });
  const page = request.headers.get("Origin");
  return Response.json(
    {
      error: "temporarily_unavailable",
      error_description: "Too many clients have registered of late; try again when Retry-After is over.",
    },
    {
      status: 429,
      headers: {
        "Cache-Control": "no-store",
        "Retry-After": `${Math.max(1, Math.ceil((retryAtMs - nowMs) / 1000))}`,
        ...(page === null ? {} : { "Access-Control-Allow-Origin": page, Vary: "Origin" }),
      },
    },
  );
}

/** Cloudflare says who connects, and overwrites what a client says of that. */
function originOf(request: Request): string {
  const address = normalizeAddress(request.headers.get("CF-Connecting-IP") ?? "");
  return address === undefined ? "unknown" : networkOf(address);
}
