import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import * as z from "zod";
import { type AccessSuite, refresh, signIn, startAccessSuite } from "../support/access-sign-in.ts";
import { type ToolClient, connectOfficial } from "../support/mcp-clients.ts";
import type { ScriptedReply } from "../support/scripted-replies.ts";
import { type TestGateway, startTestGateway } from "../support/test-gateway.ts";

const KEY = "the-key-of-the-model";
const ASK: ScriptedReply = { kind: "calls", calls: [{ name: "ask_caller", input: { question: "Which one?" } }] };
const LIST: ScriptedReply = { kind: "calls", calls: [{ name: "files_list", input: {} }] };
const DONE: ScriptedReply = { kind: "text", text: "It is done." };

let gateway: TestGateway;
let started: AccessSuite;

beforeAll(async () => {
  gateway = await startTestGateway({ key: KEY });
  const model = { MODEL_BASE_URL: gateway.baseUrl, MODEL_API_KEY: KEY, MODEL_DEFAULT: "scripted" };
  started = await startAccessSuite(model);
});

afterAll(async () => {
  await started[Symbol.asyncDispose]();
  await gateway[Symbol.asyncDispose]();
});

beforeEach(() => {
  started.access.people.set("ann", []);
  started.access.trouble = "none";
});

const reportSchema = z.object({ run_id: z.string(), status: z.string(), error: z.string().optional() });

async function connect(token: string): Promise<ToolClient> {
  return await connectOfficial(new URL("/mcp", started.suite.url), token, "modern");
}

async function askSuite(mcp: ToolClient, name: string, input: Record<string, unknown>) {
  return reportSchema.parse((await mcp.callTool(name, input)).structuredContent);
}

test("a run goes on while its person is let in", async () => {
  gateway.script(ASK, LIST, DONE);
  const { tokens } = await signIn(started.suite);
  await using mcp = await connect(tokens.access_token);
  const { run_id, status } = await askSuite(mcp, "delegate_run", { task: "Choose." });
  expect(status).toBe("input_required");
  expect(await askSuite(mcp, "delegate_status", { run_id, answer: "This one." })).toMatchObject({
    status: "completed",
  });
});

test("a run that waits for an answer does nothing more once its person is out", async () => {
  gateway.script(ASK);
  const { suite, access } = started;
  const { client, tokens } = await signIn(suite);
  // Another client, which has not heard yet that its person is out, answers.
  const other = await signIn(suite);
  await using mcp = await connect(tokens.access_token);
  const { run_id } = await askSuite(mcp, "delegate_run", { task: "Choose." });
  const asked = gateway.requests.length;
  access.people.delete("ann");
  expect((await refresh(suite, client, tokens)).error).toBe("invalid_grant");
  await using late = await connect(other.tokens.access_token);
  const end = await askSuite(late, "delegate_status", { run_id, answer: "This one." });
  expect(end).toMatchObject({ status: "failed", error: expect.stringContaining("forbidden: The grant") });
  expect(gateway.requests.length).toBe(asked);
});
