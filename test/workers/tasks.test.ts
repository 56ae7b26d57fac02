import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import * as z from "zod";
import type { Caller } from "../../auth/caller.ts";
import { CATALOG } from "../../servers/catalog.ts";
import type { FinishedCall } from "../../servers/core/call.ts";
import { serveMcp } from "../../servers/core/http.ts";
import { createServer } from "../../servers/core/server.ts";
import { budgetOf } from "../../servers/delegate/budget.ts";
import { runName } from "../../servers/delegate/runs.ts";
import { parseSettings } from "../../servers/shared/settings.ts";
import { createPipeline } from "../../servers/suite.ts";

const RUN_ID = "run-0123456789abcdef";
const TASKS = { extensions: { "io.modelcontextprotocol/tasks": {} } };

const messageSchema = z.object({
  result: z.record(z.string(), z.unknown()).optional(),
  error: z.object({ code: z.int(), message: z.string() }).optional(),
});

function callerOf(userId: string): Caller {
  return { userId, role: "member", scopes: ["delegate:run"], clientId: "test" };
}

/** A run of that person; without a model endpoint it fails at once. */
async function startRun(userId: string): Promise<void> {
  await env.DELEGATE_RUN.get(env.DELEGATE_RUN.idFromName(runName(userId, RUN_ID))).start({
    runId: RUN_ID,
    caller: callerOf(userId),
    depth: 1,
    task: "Paint the wall.",
    texts: [],
    files: [],
    sandboxMode: "share",
    sandbox: "main",
    models: ["m"],
    budget: budgetOf({}),
    requestDigest: "",
  });
}

/** What that person is answered, and what is left in the books. */
async function ask(userId: string, method: string) {
  const entries: FinishedCall[] = [];
  const made = createPipeline(env, parseSettings(env), callerOf(userId), { waitUntil: () => undefined });
  const pipeline = { ...made, record: (call: FinishedCall) => entries.push(call) };
  const _meta = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": TASKS,
  };
  const body = { jsonrpc: "2.0", id: 1, method, params: { taskId: RUN_ID, _meta } };
  const headers = {
    "Content-Type": "application/json",
    "MCP-Protocol-Version": "2026-07-28",
    "Mcp-Method": method,
    "Mcp-Name": RUN_ID,
  };
  const request = new Request("http://localhost/mcp", { method: "POST", headers, body: JSON.stringify(body) });
  const response = await serveMcp(request, body, ({ era }) => createServer(CATALOG, pipeline, era));
  return {
    ...messageSchema.parse(await response.json()),
    entries: entries.map(({ tool, outcome }) => [tool, outcome]),
  };
}

test.each(["tasks/get", "tasks/update", "tasks/cancel"])(
  "%s finds a task of one's own and nobody else's, and leaves one entry in the books",
  async (method) => {
    await startRun("tasks-1");
    const own = await ask("tasks-1", method);
    expect(own.result).toMatchObject({ resultType: "complete" });
    expect(own.entries).toEqual([[method, "ok"]]);
    const other = await ask("tasks-2", method);
    expect(other.error).toMatchObject({ code: -32602, message: expect.stringMatching(/^not_found: /) });
    expect(other.entries).toEqual([[method, "not_found"]]);
  },
);
