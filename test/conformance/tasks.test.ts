import { afterAll, beforeAll, expect, test } from "vitest";
import { call, say } from "../support/delegate-talk.ts";
import type { RecordedRequest, ScriptedReply } from "../support/scripted-replies.ts";
import { type OwnSuite, startSuite } from "../support/suite.ts";
import { type TestGateway, startTestGateway } from "../support/test-gateway.ts";
import { complaintsOf, runExtensionScenario } from "./runner.ts";
import { type TaskProxy, startTaskProxy } from "./task-proxy.ts";

/**
 * The runner's scenarios about tasks, on delegated runs. Left out are `tasks-required-task-error`, since no tool insists on
 * tasks, `tasks-mrtr-composition`, since a run asks when it is under way and never before, and
 * `tasks-status-notifications`, which the runner does not carry out.
 */
const SCENARIOS: Readonly<Record<string, string>> = {
  "tasks-lifecycle": "a task works, completes and is cancelled",
  "tasks-capability-negotiation": "who does not take tasks gets none",
  "tasks-wire-fields": "times are whole milliseconds under their new names",
  "tasks-request-state-removal": "a task carries no requestState",
  "tasks-mrtr-input": "a task asks, and goes on with the answer",
  "tasks-request-headers": "headers that contradict the body are refused",
  "tasks-dispatch-and-envelope": "the server decides what is a task, and says of each result what it is",
};

/** Checks that call a tool with an end of its own, each with what a run does instead. */
const NEEDS_FIXTURE_TOOLS = [
  // A run that fails is a result with a status, not an error of the tool.
  "sep-2663-tool-error-uses-completed-status",
  // No run ends in an error of the protocol.
  "sep-2663-tasks-get-status-failed",
  // A run asks one question at a time.
  "tasks-mrtr-partial-fulfillment",
  // The words of a greeting.
  "tasks-headers-tolerate-mcp-method-on-tools-call",
];

let gateway: TestGateway;
let suite: OwnSuite;
let proxy: TaskProxy;

beforeAll(async () => {
  gateway = await startTestGateway();
  gateway.script(...Array.from({ length: 200 }, () => play));
  suite = await startSuite([], {
    MODEL_BASE_URL: gateway.baseUrl,
    MODEL_API_KEY: "k",
    MODEL_DEFAULT: "m",
    DELEGATE_RUNS_AT_ONCE: "50",
  });
  proxy = await startTaskProxy(new URL("/mcp", suite.url), await suite.token());
});

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await suite[Symbol.asyncDispose]();
  await gateway[Symbol.asyncDispose]();
});

/** What the model of a run does, by the run's task. */
function play({ body: { messages } }: RecordedRequest): ScriptedReply {
  if (messages.at(-1)?.role === "tool") return say("Done.");
  const task = JSON.stringify(messages.find(({ role }) => role === "user")?.content);
  const [, seconds] = /Work for (\d+) s/.exec(task) ?? [];
  if (seconds === undefined) return call("ask_caller", { question: "Really?" });
  return call("sandbox_exec", { command: `sleep ${seconds}` });
}

// The runner waits ten seconds for a task, however busy the machine is.
test.each(Object.entries(SCENARIOS))("%s: %s", { retry: 1 }, async (scenario) => {
  const checks = await runExtensionScenario(proxy.mcpUrl, scenario);
  const own = checks.filter(({ id }) => !NEEDS_FIXTURE_TOOLS.includes(id));
  expect(own.map(({ status }) => status)).toContain("SUCCESS");
  expect(complaintsOf(own)).toEqual([]);
});
