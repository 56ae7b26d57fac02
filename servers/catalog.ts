import type { Caller } from "../auth/caller.ts";
import { mayHave } from "../auth/policy.ts";
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

/** What each role may ever use: a tool that stepping up could not bring is not there for it. */
const CATALOG_OF: Readonly<Record<Caller["role"], readonly ServerDefinition[]>> = {
  admin: catalogFor("admin"),
  member: catalogFor("member"),
  reader: catalogFor("reader"),
};

function catalogFor(role: Caller["role"]): ServerDefinition[] {
  return CATALOG.map((server) => ({
    ...server,
    tools: server.tools.filter(({ scopes }) => mayHave(role, scopes)),
  })).filter(({ tools }) => tools.length > 0);
}

/**
 * The servers behind an endpoint as a role sees them, `narrowed` to a list such as `sandbox,files` on the suite's; those
 * that have no tool for the role are left out. Names that do not exist are returned as `unknown`.
 */
export function serversOf(
  endpoint: string,
  narrowed: string | null,
  role: Caller["role"],
): { readonly servers: readonly ServerDefinition[]; readonly unknown: readonly string[] } {
  const names =
    endpoint === SUITE_ENDPOINT
      ? (narrowed ?? "")
          .split(",")
          .map((name) => name.trim())
          .filter((name) => name !== "")
      : [endpoint.slice(SUITE_ENDPOINT.length + 1)];
  const seen = CATALOG_OF[role];
  if (names.length === 0) return { servers: seen, unknown: [] };
  return {
    servers: seen.filter(({ name }) => names.includes(name)),
    unknown: names.filter((name) => !CATALOG.some((server) => server.name === name)),
  };
}
