import type { ServerDefinition } from "./core/tool.ts";
import { browserServer } from "./browser/index.ts";
import { delegateServer } from "./delegate/index.ts";
import { filesServer } from "./files/index.ts";
import { interpreterServer } from "./interpreter/index.ts";
import { sandboxServer } from "./sandbox/index.ts";

/** Every server, in the order in which clients see their tools. */
export const CATALOG: readonly ServerDefinition[] = [
  sandboxServer,
  interpreterServer,
  filesServer,
  browserServer,
  delegateServer,
];

/** Where all servers answer together; `/mcp/<server>` is each one alone. */
export const SUITE_ENDPOINT = "/mcp";

export const ENDPOINTS: readonly string[] = [SUITE_ENDPOINT, ...CATALOG.map(({ name }) => `${SUITE_ENDPOINT}/${name}`)];

/**
 * The servers behind an endpoint, `narrowed` to a list such as `sandbox,files` on the suite's. Names that do not
 * exist are returned as `unknown`.
 */
export function serversOf(
  endpoint: string,
  narrowed: string | null,
): { readonly servers: readonly ServerDefinition[]; readonly unknown: readonly string[] } {
  const names =
    endpoint === SUITE_ENDPOINT
      ? (narrowed ?? "")
          .split(",")
          .map((name) => name.trim())
          .filter((name) => name !== "")
      : [endpoint.slice(SUITE_ENDPOINT.length + 1)];
  if (names.length === 0) return { servers: CATALOG, unknown: [] };
  return {
    servers: CATALOG.filter(({ name }) => names.includes(name)),
    unknown: names.filter((name) => !CATALOG.some((server) => server.name === name)),
  };
}
