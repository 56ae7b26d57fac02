import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { call, say } from "../support/delegate-talk.ts";
import { modeOf } from "../support/mcp-clients.ts";
import { type ModernAnswer, type ModernClient, askModern } from "../support/modern-mcp.ts";
import { type OwnSuite, startSuite } from "../support/suite.ts";
import { type ScriptStep, type TestGateway, startTestGateway } from "../support/test-gateway.ts";

const TASKS = { extensions: { "io.modelcontextprotocol/tasks": {} } };
const FORMS = { elicitation: { form: {} } };
const QUESTION = "Which colour?";

const ask = call("ask_caller", { question: QUESTION });
/** Says what it was told last. */
const repeat: ScriptStep = ({ body }) => say(`I was told: ${JSON.stringify(body.messages.at(-1)?.content)}`);

let gateway: TestGateway;
let suite: OwnSuite;

beforeAll(async () => {
  gateway = await startTestGateway();
  suite = await startSuite([], { MODEL_BASE_URL: gateway.baseUrl, MODEL_API_KEY: "k", MODEL_DEFAULT: "m" });
});

afterAll(async () => {
  await suite[Symbol.asyncDispose]();
  await gateway[Symbol.asyncDispose]();
});

async function clientWith(capabilities: ModernClient["capabilities"] = {}, scopes?: readonly string[]) {
  return { mcpUrl: new URL("/mcp", suite.url), token: await suite.token(scopes), capabilities };
}

async function delegate(client: ModernClient, input: Readonly<Record<string, unknown>> = {}): Promise<ModernAnswer> {
  const given = { task: "Paint the wall.", ...input };
  return await askModern(client, "tools/call", { name: "delegate_run", arguments: given });
}

async function startTask(client: ModernClient): Promise<string> {
  return z.object({ taskId: z.string() }).parse((await delegate(client)).result).taskId;
}

async function taskIn(client: ModernClient, taskId: string, status: string): Promise<Record<string, unknown>> {
  const get = async () => (await askModern(client, "tasks/get", { taskId })).result;
  await expect.poll(async () => (await get())?.["status"], { timeout: 20_000 }).toBe(status);
  return (await get()) ?? {};
}

/** The one question that is asked, by its key. */
function questionIn(result: Record<string, unknown> | undefined): { readonly key: string; readonly message: unknown } {
  const asked = z.record(z.string(), z.object({ method: z.literal("elicitation/create"), params: z.looseObject({}) }));
  const [[key, request] = ["", undefined], ...others] = Object.entries(asked.parse(result?.["inputRequests"]));
  expect(others).toEqual([]);
  return { key, message: request?.params["message"] };
}

const accept = (answer: string) => ({ action: "accept", content: { answer } }) as const;

describe("a client that takes tasks", () => {
  test("is told that the server makes them, where there is anything to delegate", async () => {
    const client = await clientWith(TASKS);
    expect((await askModern(client, "server/discover")).result).toMatchObject({ capabilities: TASKS });
    const files = { ...client, mcpUrl: new URL("/mcp/files", suite.url) };
    expect((await askModern(files, "server/discover")).result?.["capabilities"]).not.toHaveProperty([
      ...["extensions", "io.modelcontextprotocol/tasks"],
    ]);
    expect((await askModern(files, "tasks/get", { taskId: "run-0" })).error).toMatchObject({ code: -32601 });
  });

  test("gets a task for a run at once, and the tool's own result in the end", async () => {
    gateway.script(say("It is blue."));
    const client = await clientWith(TASKS);
    const { result } = await delegate(client, { wait_ms: 50_000 });
    expect(result).toMatchObject({
      resultType: "task",
      taskId: expect.stringMatching(/^run-[0-9a-f]{16}$/),
      status: "working",
      ttlMs: 7 * 24 * 3_600_000,
      pollIntervalMs: 2_000,
    });
    const taskId = String(result?.["taskId"]);
    const task = await taskIn(client, taskId, "completed");
    expect(task).toMatchObject({ resultType: "complete", taskId, createdAt: result?.["createdAt"] });
    const plain = await askModern(await clientWith(), "tools/call", {
      name: "delegate_status",
      arguments: { run_id: taskId },
    });
    expect(task["result"]).toEqual({
      content: plain.result?.["content"],
      structuredContent: expect.objectContaining({ run_id: taskId, status: "completed", result: "It is blue." }),
      _meta: { "pincer/duration_ms": expect.any(Number), "pincer/cost_usd": 0 },
    });
  });

  test("gets the error of a call that starts no run as the result", async () => {
    const { result } = await delegate(await clientWith(TASKS), { no_such_argument: 1 });
    expect(result).toMatchObject({ resultType: "complete", isError: true });
  });

  test("answers what a run asks, once", async () => {
    gateway.script(ask, repeat);
    const client = await clientWith({ ...TASKS, ...FORMS });
    const taskId = await startTask(client);
    const { key, message } = questionIn(await taskIn(client, taskId, "input_required"));
    expect(message).toBe(QUESTION);
    const update = async (inputResponses: object) =>
      await askModern(client, "tasks/update", { taskId, inputResponses });
    expect((await update({ [`${taskId}.999`]: accept("red") })).result).toMatchObject({ resultType: "complete" });
    await taskIn(client, taskId, "input_required");
    expect((await update({ [key]: accept("green") })).result).toMatchObject({ resultType: "complete" });
    const { result } = await taskIn(client, taskId, "completed");
    expect(result).toMatchObject({ structuredContent: { result: expect.stringContaining("green") } });
    expect((await update({ [key]: accept("red") })).result).toMatchObject({ resultType: "complete" });
  });

  test("lets a run go on without an answer by declining", async () => {
    gateway.script(ask, repeat);
    const client = await clientWith({ ...TASKS, ...FORMS });
    const taskId = await startTask(client);
    const { key } = questionIn(await taskIn(client, taskId, "input_required"));
    await askModern(client, "tasks/update", { taskId, inputResponses: { [key]: { action: "decline" } } });
    const { result } = await taskIn(client, taskId, "completed");
    expect(result).toMatchObject({ structuredContent: { result: expect.stringContaining("gave no answer") } });
  });

  test("gets a question as the result where it shows no forms", async () => {
    gateway.script(ask);
    const client = await clientWith(TASKS);
    const taskId = await startTask(client);
    const { result } = await taskIn(client, taskId, "completed");
    expect(result).toMatchObject({ structuredContent: { status: "input_required", question: QUESTION } });
    await askModern(client, "tasks/cancel", { taskId });
  });

  test("cancels a run, and may do so again", async () => {
    const asked = Promise.withResolvers<void>();
    gateway.script(() => {
      asked.resolve();
      return { kind: "hang" };
    });
    const client = await clientWith(TASKS);
    const taskId = await startTask(client);
    await asked.promise;
    const cancel = async () => (await askModern(client, "tasks/cancel", { taskId })).result;
    expect(await cancel()).toMatchObject({ resultType: "complete" });
    expect(await taskIn(client, taskId, "cancelled")).not.toHaveProperty("result");
    expect(await cancel()).toMatchObject({ resultType: "complete" });
  });

  test.each(["tasks/get", "tasks/update", "tasks/cancel"])(
    "is told by %s of a task that is not there",
    async (method) => {
      const answer = await askModern(await clientWith(TASKS), method, { taskId: "run-0123456789abcdef" });
      expect(answer.error).toMatchObject({ code: -32602, message: expect.stringMatching(/^not_found: /) });
    },
  );

  test.each(["tasks/get", "tasks/update", "tasks/cancel"])("needs the scope of the tool for %s", async (method) => {
    const answer = await askModern(await clientWith(TASKS, ["files:read"]), method, { taskId: "run-0123456789abcdef" });
    expect(answer.error).toMatchObject({ code: -32602, message: expect.stringMatching(/^forbidden: .*delegate:run/) });
  });
});

test.each(["tasks/get", "tasks/update", "tasks/cancel"])(
  "%s is refused to a client that does not take tasks",
  async (method) => {
    const { status, error } = await askModern(await clientWith(), method, { taskId: "run-0123456789abcdef" });
    expect(status).toBe(400);
    expect(error).toMatchObject({ code: -32021, data: { requiredCapabilities: TASKS } });
  },
);

describe("a client that takes no tasks", () => {
  test("may not listen to them", async () => {
    const wanted = { notifications: { taskIds: ["run-0123456789abcdef"] } };
    const { status, error } = await askModern(await clientWith(), "subscriptions/listen", wanted);
    expect(status).toBe(400);
    expect(error).toMatchObject({ code: -32021, data: { requiredCapabilities: TASKS } });
  });

  test("is asked what a run asks, and waits on with its answer", async () => {
    gateway.script(ask, repeat);
    const client = new Client(
      { name: "pincer-test", version: "1.0.0" },
      { versionNegotiation: { mode: modeOf("modern") }, capabilities: FORMS },
    );
    const asked: string[] = [];
    client.setRequestHandler("elicitation/create", ({ params }) => {
      asked.push(params.message);
      return accept("violet");
    });
    const requestInit = { headers: { Authorization: `Bearer ${await suite.token()}` } };
    await client.connect(new StreamableHTTPClientTransport(new URL("/mcp/delegate", suite.url), { requestInit }));
    const { structuredContent } = await client.callTool({ name: "delegate_run", arguments: { task: "Paint." } });
    expect(asked).toEqual([QUESTION]);
    expect(structuredContent).toMatchObject({ status: "completed", result: expect.stringContaining("violet") });
    await client.close();
  });

  test("is asked by delegate_status too, and an answer to an old question answers no new one", async () => {
    gateway.script(ask, ask, repeat);
    const plain = await clientWith();
    const started = await delegate(plain);
    expect(started.result).toMatchObject({ structuredContent: { status: "input_required", question: QUESTION } });
    const { run_id: runId } = z.object({ run_id: z.string() }).parse(started.result?.["structuredContent"]);
    const client = await clientWith(FORMS);
    const status = async (more: object = {}) =>
      (await askModern(client, "tools/call", { name: "delegate_status", arguments: { run_id: runId }, ...more }))
        .result;
    const first = questionIn(await status());
    const second = questionIn(await status({ inputResponses: { [first.key]: accept("red") } }));
    expect(second.key).not.toBe(first.key);
    expect(questionIn(await status({ inputResponses: { [first.key]: accept("red") } }))).toEqual(second);
    expect(await status({ inputResponses: { [second.key]: accept("green") } })).toMatchObject({
      structuredContent: { status: "completed", result: expect.stringContaining("green") },
    });
  });
});

test("a client of 2025 is told of no tasks, and gets what a run asks as the result", async () => {
  gateway.script(ask);
  const client = new Client(
    { name: "pincer-test", version: "1.0.0" },
    { versionNegotiation: { mode: modeOf("legacy") }, capabilities: FORMS },
  );
  const requestInit = { headers: { Authorization: `Bearer ${await suite.token()}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL("/mcp/delegate", suite.url), { requestInit }));
  expect(client.getServerCapabilities()).toEqual({ tools: {}, resources: {}, prompts: {}, completions: {} });
  const { structuredContent } = await client.callTool({ name: "delegate_run", arguments: { task: "Paint." } });
  expect(structuredContent).toMatchObject({ status: "input_required", question: QUESTION });
  await client.close();
});
