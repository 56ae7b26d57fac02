import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { connectSdk1, type ToolClient, connectOfficial, textOf } from "../support/mcp-clients.ts";
import { type RuledSuite, startRuledSuite } from "../support/ruled-suite.ts";
import { call } from "../support/delegate-talk.ts";
import { type TestGateway, startTestGateway } from "../support/test-gateway.ts";

/* What a pause ends, for real, and what it leaves. */

let gateway: TestGateway;
let suite: RuledSuite;
let client: ToolClient;
let old: ToolClient;

beforeAll(async () => {
  gateway = await startTestGateway();
  suite = await startRuledSuite({
    MODEL_BASE_URL: gateway.baseUrl,
    MODEL_API_KEY: "key",
    MODEL_DEFAULT: "scripted",
  });
  const mcpUrl = new URL("/mcp", suite.url);
  client = await connectOfficial(mcpUrl, await suite.token(), "modern");
  old = await connectSdk1(mcpUrl, await suite.token());
});

afterEach(async () => {
  await suite.rule("resumePerson");
  await suite.rule("resumeAll");
  await expect.poll(async () => (await client.callTool("files_list", {})).isError).toBe(false);
});

afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await old[Symbol.asyncDispose]();
  await suite[Symbol.asyncDispose]();
  await gateway[Symbol.asyncDispose]();
});

async function told(name: string, input: Record<string, unknown>, by = client): Promise<string> {
  const answer = await by.callTool(name, input);
  return answer.isError ? textOf(answer) : "ok";
}

async function stdout(command: string): Promise<unknown> {
  return (await client.callTool("sandbox_exec", { command })).structuredContent?.["stdout"];
}

async function share(): Promise<string> {
  await client.callTool("files_write", { path: "shared.html", content: "<h1>Shared</h1>" });
  return String((await client.callTool("files_share", { path: "shared.html" })).structuredContent?.["url"]);
}

test.each([
  ["a person", "pausePerson", "resumePerson", "An admin paused you"],
  ["everybody", "pauseAll", "resumeAll", "An admin paused everybody"],
] as const)(
  "a pause of %s ends commands, browser and run within seconds, and nothing of their files is lost",
  { timeout: 120_000 },
  async (_who, pause, resume, sentence) => {
    const link = await share();
    await client.callTool("sandbox_exec", { command: "echo kept > /workspace/kept.txt" });
    // One that was handed over, and one whose call waits for it.
    await client.callTool("sandbox_exec", { command: "echo begun > files/begun.txt; sleep 314.15", wait_ms: 0 });
    const waiting = told("sandbox_exec", { command: "sleep 271.82", wait_ms: 50_000 });
    expect(await told("browser_open", { url: link })).toBe("ok");
    const model = gateway.newModel();
    model.script(call("sandbox_exec", { command: "sleep 161.80", wait_ms: 40_000 }));
    const run = await client.callTool("delegate_run", { task: "Sleep.", model: model.model, wait_ms: 0 });
    const runId = String(run.structuredContent?.["run_id"]);
    await expect.poll(async () => await stdout("pgrep -c '^sleep' || true")).toBe("3\n");
    const following = told("delegate_status", { run_id: runId, wait_ms: 50_000 });

    const pausedMs = Date.now();
    expect(await suite.rule(pause, "The bill")).toBe("done");
    expect(await waiting).toMatch(/^cancelled: paused: |^ok$/);
    await following;
    await expect
      .poll(async () => await told("files_list", {}))
      .toMatch(
        new RegExp(`^forbidden: paused: ${sentence} at \\S+Z \\(The bill\\); nothing is done until an admin lifts it`),
      );
    expect(await told("files_list", {}, old)).toContain(`forbidden: paused: ${sentence}`);
    expect(Date.now() - pausedMs).toBeLessThan(11_000);
    const shared = await fetch(link);
    expect([shared.status, await shared.text()]).toEqual([403, expect.stringContaining(sentence)]);
    expect((await fetch(link, { method: "HEAD" })).status).toBe(403);

    // The last time that work is ended is twelve seconds after the pause.
    await new Promise((resolve) => setTimeout(resolve, 14_000 - (Date.now() - pausedMs)));
    expect(await suite.rule(resume)).toBe("done");
    await expect.poll(async () => await told("files_list", {})).toBe("ok");
    expect(await stdout("pgrep -c '^sleep' || true; cat /workspace/kept.txt files/begun.txt")).toBe("0\nkept\nbegun\n");
    expect(await told("browser_snapshot", {})).toContain("No page is open in this browser");
    const ended = await client.callTool("delegate_status", { run_id: runId, wait_ms: 0 });
    expect(ended.structuredContent).toMatchObject({ status: "cancelled" });
    expect(await (await fetch(link)).text()).toBe("<h1>Shared</h1>");
  },
);

test("work that a pause has still to end is ended after a kill", { timeout: 90_000 }, async () => {
  await client.callTool("sandbox_exec", { command: "sleep 141.42", wait_ms: 0 });
  await expect.poll(async () => await stdout("pgrep -c -f '[s]leep 141.42' || true")).toBe("1\n");
  expect(await suite.rule("pausePerson", "")).toBe("done");
  await suite.killAndRestart();
  await new Promise((resolve) => setTimeout(resolve, 14_000));
  expect(await suite.rule("resumePerson")).toBe("done");
  await expect.poll(async () => await told("files_list", {})).toBe("ok");
  expect(await stdout("pgrep -c -f '[s]leep 141.42' || true")).toBe("0\n");
});

test("a sandbox that is put to sleep or restarted has lost its processes and nothing else", async () => {
  await client.callTool("sandbox_exec", { command: "echo here > /workspace/here.txt; sleep 577.21", wait_ms: 0 });
  expect(await suite.rule("snapshot", "main")).toBe("done");
  expect(await suite.rule("sleep", "main")).toBe("done");
  const state = async () => (await client.callTool("sandbox_status", {})).structuredContent?.["state"];
  expect(await state()).toBe("asleep");
  expect(await stdout("cat /workspace/here.txt; pgrep -c -f '[s]leep 577.21' || true")).toBe("here\n0\n");
  await client.callTool("sandbox_exec", { command: "sleep 577.21", wait_ms: 0 });
  expect(await suite.rule("restart", "main")).toBe("done");
  expect(await state()).toBe("running");
  expect(await stdout("cat /workspace/here.txt; pgrep -c -f '[s]leep 577.21' || true")).toBe("here\n0\n");
});

test("acts on what has no such name are refused", async () => {
  expect(await suite.rule("sleep", "../main")).toMatch(/^invalid_input: That is no name/);
  expect(await suite.rule("closeBrowser", "a:b")).toMatch(/^invalid_input: That is no name/);
  expect(await suite.rule("cancelRun", "run-0000000000000000")).toMatch(/^not_found: /);
});
