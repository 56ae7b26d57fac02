import type { Caller } from "../../auth/caller.ts";
import type { ResourceServer } from "../../auth/resource-server.ts";
import { ALL_SCOPES } from "../../auth/scopes.ts";

export { bearerOf, scopeChallenge, verifyPersonal } from "../../auth/resource-server.ts";

const SOMEBODY: Caller = { userId: "0".repeat(32), role: "admin", scopes: ALL_SCOPES, clientId: "bench" };

/** Bench-only, put in the place of auth/resource-server.ts: whoever calls is somebody, and nobody is asked for a token. */
export function createResourceServer({ path }: { readonly path: string }): ResourceServer {
  const facts = { resource: path, resourceMetadataUrl: path };
  return { fetch: async (request, { handler }) => await handler(request, SOMEBODY, facts) };
}
