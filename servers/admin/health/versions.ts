import { dependencies } from "../../../package.json";
import { REVISIONS, VERSION } from "../../core/server.ts";
import type { HealthReport } from "../health-report.ts";

/** As wrangler.jsonc has it, which the Worker cannot read; a test compares the two. */
export const COMPATIBILITY_DATE = "2026-11-01";

export const VERSIONS: HealthReport["versions"] = [
  { name: "Pincer", version: VERSION },
  { name: "MCP", version: REVISIONS.join(", ") },
  { name: "Workers compatibility date", version: COMPATIBILITY_DATE },
  ...Object.entries(dependencies).map(([name, version]) => ({ name, version })),
];
