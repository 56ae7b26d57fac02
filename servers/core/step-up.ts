import * as z from "zod";
import type { Scope } from "../../auth/scopes.ts";
import { type ServerDefinition, findTool } from "./tool.ts";

const toolCall = z.object({ method: z.literal("tools/call"), params: z.object({ name: z.string() }) });

/**
 * The scopes of the tool that a request calls. Whether they are there is decided before the answer begins, while it
 * can still be a 403 that makes the client step up (MCP authorization, "Scope Challenge Handling").
 */
export function neededScopes(body: unknown, servers: readonly ServerDefinition[]): readonly Scope[] {
  const call = toolCall.safeParse(body);
  if (!call.success) return [];
  return findTool(servers, call.data.params.name)?.scopes ?? [];
}
