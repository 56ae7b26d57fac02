import type { Scope } from "../../auth/scopes.ts";
import { type DayLimits, browserIn } from "../browser/devtools/crossing.ts";
import { type CallPipeline, callRecorded } from "../core/call.ts";
import { HTTP_STATUS, ToolError } from "../shared/errors.ts";
import { HANDLE_RULE, isHandleName } from "../shared/handles.ts";
import { LIMIT_NAMES } from "../shared/limits.ts";
import type { InsideVisit } from "./visit.ts";

const CONNECT = { name: "browser_connect", scopes: ["browser:read", "browser:act"] } as const;

/** Whether whoever has these scopes may drive browsers from a sandbox. */
export function mayConnect(scopes: readonly Scope[]): boolean {
  return CONNECT.scopes.every((scope) => scopes.includes(scope));
}

/**
 * `http://browser.internal`: the person's browser as Chrome serves it at its debugging port, for programs in a sandbox
 * that speak its protocol. `?browser=NAME` picks another than the default one.
 */
export async function serveInsideBrowser({
  request,
  pipeline,
}: Pick<InsideVisit, "request" | "pipeline">): Promise<Response> {
  const browser = browserIn(new URL(request.url));
  const end = await callRecorded(
    CONNECT,
    { browser },
    pipeline,
    () => 0,
    async () => {
      if (!isHandleName(browser)) throw new ToolError("invalid_input", `No browser has such a name: ${HANDLE_RULE}.`);
      const limits = await limitsOf(pipeline);
      return await pipeline.capabilities.browsers.named(browser).devTools(request, limits);
    },
  );
  // Chrome's own answers to what it refuses are texts, and its clients show them.
  return end.ok ? end.outcome : new Response(`${end.error.message}\n`, { status: HTTP_STATUS[end.error.code] });
}

/** What goes on without calls is held to the day's limits by who serves it. */
async function limitsOf(pipeline: CallPipeline): Promise<DayLimits> {
  const { limits } = await pipeline.readUsage();
  const browserHoursPerDay = limits[LIMIT_NAMES.browserHoursPerDay]?.limit;
  const usdPerDay = limits[LIMIT_NAMES.usdPerDay]?.limit;
  return {
    ...(browserHoursPerDay === undefined ? {} : { browserHoursPerDay }),
    ...(usdPerDay === undefined ? {} : { usdPerDay }),
  };
}
