import type { Scope } from "../auth/scopes.ts";
import { CATALOG, serversOf } from "./catalog.ts";
import type { CallPipeline } from "./core/call.ts";
import { problem, readJsonRpc, serveMcp } from "./core/http.ts";
import { answerLasting } from "./core/lasting-answer.ts";
import { answerPlainCall } from "./core/plain-call.ts";
import { createServer } from "./core/server.ts";
import { neededScopes } from "./core/step-up.ts";
import { refuseListening } from "./core/tasks.ts";
import type { ServerDefinition } from "./core/tool.ts";

/**
 * Answers MCP at an endpoint. `challenge` tells a client whose caller lacks scopes how to get them; where nobody could,
 * tools that need them are not there.
 */
export async function answerMcp(
  request: Request,
  endpoint: string,
  pipeline: CallPipeline,
  challenge?: (needed: readonly Scope[]) => Response,
): Promise<Response> {
  const { caller } = pipeline;
  const found = serversOf(endpoint, new URL(request.url).searchParams.get("servers"), caller.role);
  if (found.unknown.length > 0) {
    const names = CATALOG.map(({ name }) => name).join(", ");
    return problem(404, `There is no server ${found.unknown.join(", ")}; servers are ${names}.`);
  }
  const servers = challenge === undefined ? covered(found.servers, caller.scopes) : found.servers;
  const parsed = request.method === "POST" ? await readJsonRpc(request) : ({ ok: true, body: undefined } as const);
  if (!parsed.ok) return parsed.response;
  const needed = neededScopes(parsed.body, servers);
  if (challenge !== undefined && needed.some((scope) => !caller.scopes.includes(scope))) return challenge(needed);
  const answer = async (): Promise<Response> =>
    refuseListening(parsed.body) ??
    (await answerPlainCall(request, parsed.body, servers, pipeline)) ??
    (await serveMcp(request, parsed.body, ({ era }) => createServer(servers, pipeline, era)));
  return await answerLasting(request, answer());
}

function covered(servers: readonly ServerDefinition[], scopes: readonly Scope[]): readonly ServerDefinition[] {
  return servers
    .map((server) => ({
      ...server,
      tools: server.tools.filter((tool) => tool.scopes.every((scope) => scopes.includes(scope))),
    }))
    .filter(({ tools }) => tools.length > 0);
}
