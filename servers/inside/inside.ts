import { problem } from "../core/http.ts";
import { type InsideHost, hostInside } from "../shared/inside-hosts.ts";
import type { InsideVisit } from "./visit.ts";

/** What answers at each name. */
export type InsideDoors = Readonly<Record<InsideHost, (visit: InsideVisit) => Promise<Response>>>;

/** Answers what a sandbox asks of a name that exists only inside. Each door lets its calls in one by one. */
export async function serveInside(visit: InsideVisit, doors: InsideDoors): Promise<Response> {
  const host = hostInside(visit.request);
  if (host === undefined) throw new Error("A request for another host came in from a sandbox.");
  if (isFromPage(visit.request, host)) return problem(403, `Pages may not call ${host}; programs may.`);
  return await doors[host](visit);
}

/** A page that a browser in the sandbox has open may be anybody's. */
function isFromPage({ headers }: Request, host: InsideHost): boolean {
  const origin = headers.get("Origin");
  return origin !== null && !(URL.canParse(origin) && new URL(origin).hostname === host);
}
