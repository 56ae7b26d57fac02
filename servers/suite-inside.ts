import type { Auth } from "../auth/auth.ts";
import type { AuthEnv } from "../auth/authorization-server.ts";
import { ENDPOINTS } from "./catalog.ts";
import { problem } from "./core/http.ts";
import type { Arrival } from "./inside/arrival.ts";
import { serveInsideBrowser } from "./inside/browser.ts";
import { type InsideDoors, serveInside } from "./inside/inside.ts";
import { serveInsideModel } from "./inside/model.ts";
import { type KnownOwners, callerInside } from "./inside/owners.ts";
import type { InsideVisit } from "./inside/visit.ts";
import { nameOfSandbox } from "./sandbox/driver.ts";
import { isRunId } from "./shared/handles.ts";
import type { Settings } from "./shared/settings.ts";
import { type Bindings, type RequestWatch, createPipeline } from "./suite.ts";
import { answerMcp } from "./suite-mcp.ts";

/** What an isolate has for requests that come out of sandboxes. */
export interface InsideSuite extends RequestWatch {
  readonly settings: Settings;
  readonly auth: Auth;
  readonly owners: KnownOwners;
}

/** Answers what a sandbox asks, as its owner. */
export async function answerInside(
  { request, sandboxId }: Arrival,
  env: Bindings & AuthEnv,
  { settings, auth, owners, ...watch }: InsideSuite,
): Promise<Response> {
  const sandbox = nameOfSandbox(sandboxId);
  // Its caller may be allowed less than whoever owns the sandbox.
  if (isRunId(sandbox)) return problem(403, "A run's own sandbox has none of the names that exist only inside.");
  const caller = await callerInside(sandboxId, owners, async (userId) => await auth.insideNow(userId, env));
  if (caller === undefined) return problem(403, "The owner of this sandbox may use no sandbox any more.");
  const { waitUntil } = watch;
  const pipeline = createPipeline(env, settings, caller, watch);
  const doors: InsideDoors = {
    "pincer.internal": serveMcpInside,
    "browser.internal": serveInsideBrowser,
    "model.internal": async (visit) =>
      await serveInsideModel(visit, {
        settings,
        account: env.ACCOUNT.get(env.ACCOUNT.idFromName(caller.userId)),
        fetcher: async (input, init) => await fetch(input, init),
      }),
  };
  return await serveInside({ request, sandbox, pipeline, waitUntil }, doors);
}

/** Nobody could have a scope granted here: tools that need what is withheld are not there. */
async function serveMcpInside({ request, sandbox, pipeline }: InsideVisit): Promise<Response> {
  const { pathname } = new URL(request.url);
  // Tools that act on a sandbox are told its name.
  if (pathname === "/") return Response.json({ sandbox });
  if (ENDPOINTS.includes(pathname)) return await answerMcp(request, pathname, pipeline);
  return problem(404, `There is nothing at ${pathname}; MCP clients connect to http://pincer.internal/mcp.`);
}
