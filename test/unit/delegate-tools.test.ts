import { expect, test } from "vitest";
import { delegateServer } from "../../servers/delegate/index.ts";
import { toolSet } from "../../servers/delegate/toolbox.ts";
import { delegateRun, delegateStatus } from "../../servers/delegate/tools.ts";
import { filesServer } from "../../servers/files/index.ts";
import { listedTokens } from "../support/listed-tokens.ts";

test("delegate_run takes a task and fills in the rest", () => {
  expect(delegateRun.input.parse({ task: "Sum up report.html." })).toEqual({
    task: "Sum up report.html.",
    budget: {},
    sandbox_mode: "share",
    wait_ms: 30_000,
  });
});

test.each([
  ["no task", {}],
  ["a wait past the call's deadline", { task: "x", wait_ms: 50_001 }],
  ["a budget beyond every limit", { task: "x", budget: { tokens: 5_000_001 } }],
  ["a model name with a line break", { task: "x", model: "m\nx" }],
  ["a schema that would fill the model's context", { task: "x", output_schema: { description: "x".repeat(20_000) } }],
])("%s is refused", (_, input) => {
  expect(delegateRun.input.safeParse(input).success).toBe(false);
});

test("a run id that was never given out is refused", () => {
  expect(delegateStatus.input.safeParse({ run_id: "../other" }).success).toBe(false);
});

test("the delegate server has four tools at most, and they take 600 tokens of a model's context at most", () => {
  expect(delegateServer.tools.length).toBeLessThanOrEqual(4);
  expect(listedTokens(delegateServer)).toBeLessThanOrEqual(600);
});

test("a sub-agent is shown every tool that it may use, those that take the same input among them", () => {
  const names = filesServer.tools.map(({ name }) => name);
  expect(Object.keys(toolSet(filesServer.tools)).toSorted()).toEqual(["ask_caller", ...names].toSorted());
});
