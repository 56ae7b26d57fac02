import { isSameSecret } from "../../auth/secrets.ts";
import { INSIDE_SANDBOX, INSIDE_SECRET, hostInside } from "../shared/inside-hosts.ts";

/** A request that came out of a sandbox. */
export interface Arrival {
  /** As the sandbox made it. */
  readonly request: Request;
  readonly sandboxId: string;
}

/** What the local egress proxy passed on. Nothing for whatever else may say so: it is a stranger's. */
export async function readArrival(request: Request, secret: string | undefined): Promise<Arrival | undefined> {
  const given = request.headers.get(INSIDE_SECRET);
  const sandboxId = request.headers.get(INSIDE_SANDBOX);
  if (secret === undefined || given === null || sandboxId === null) return undefined;
  if (hostInside(request) === undefined || !(await isSameSecret(given, secret))) return undefined;
  const passed = new Request(request);
  for (const name of [INSIDE_SECRET, INSIDE_SANDBOX]) passed.headers.delete(name);
  return { request: passed, sandboxId };
}
