import { preflight, readJsonRpc, refuseStranger, serveMcp, withCors } from "../../servers/core/http.ts";
import { createFixtureServer } from "./fixture-server.ts";

/**
 * What the conformance runner asks of a server beyond Pincer's own tools: fixed tools, prompts and resources. Only
 * they are of the fixture; every request comes in the way it does in the product, without the sign-in.
 */
export default {
  fetch: async (request) => {
    const refused = refuseStranger(request, { publicUrl: new URL(new URL(request.url).origin), isLocal: true });
    if (refused !== undefined) return refused;
    if (request.method === "OPTIONS") return preflight(request);
    const parsed = request.method === "POST" ? await readJsonRpc(request) : ({ ok: true, body: undefined } as const);
    if (!parsed.ok) return parsed.response;
    return withCors(await serveMcp(request, parsed.body, createFixtureServer), request);
  },
} satisfies ExportedHandler;
