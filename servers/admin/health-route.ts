import type { AskingAdmin } from "../../auth/admin-guard.ts";
import { html, pageResponse } from "../../auth/html.ts";
import { HEALTH_STYLE, healthPage } from "./health-page.ts";
import type { HealthReport } from "./health-report.ts";

export const HEALTH_PAGE = "/admin/health";
const HEALTH_ROUTE = "/health";

/** Programs may ask at `/health` as well, which no Access application stands in front of. */
export function asksForHealth(request: Request): boolean {
  const { pathname } = new URL(request.url);
  if (request.method !== "GET") return false;
  return pathname === HEALTH_PAGE || (pathname === HEALTH_ROUTE && request.headers.has("Authorization"));
}

/** The report as it is asked for. */
export function showHealth(report: HealthReport, { isProgram }: AskingAdmin): Response {
  if (isProgram) return Response.json(report, { headers: { "Cache-Control": "no-store" } });
  const title = "Health";
  const body = html`<h1>${title}</h1>
    <p><a href="/admin">Everybody’s apps and tokens</a></p>
    ${healthPage(report)}`;
  return pageResponse({ title, body, status: 200, style: HEALTH_STYLE });
}
